"""Export the photographs of a stage into a folder, and import them into another stage.

The other stage may be in another account or region. The folder is readable by its owner only. It
contains the photographs, in files named by the SHA-256 of their content; a manifest with the key,
the name and the consent of each; and the audit trail of the people. Rekognition exports no faces,
so the other stage indexes them again.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

import msgspec
from msgspec import Struct

from chalicelib.audit import AuditEntry
from chalicelib.errors import Problem
from chalicelib.images import MAX_STORED_BYTES, from_bytes
from chalicelib.keys import PREFIX, person_of
from chalicelib.models import PhotographRecord
from chalicelib.pacing import RETRY_PAUSES, PacedExecutor
from chalicelib.storage import is_placeholder, object_metadata
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.reporting import Failure, Progress, readable
from facial_recognition.cli.settling import wait_until_indexed
from facial_recognition.cli.stage import OpenStage

MANIFEST, TRAIL, PHOTOGRAPHS = "manifest.jsonl", "trail.jsonl", "photographs"
PAGE = 100
RATE = 100.0
"""Photographs read per second."""


T = TypeVar("T", bound=Struct)


class ExportedPhotograph(Struct, frozen=True, rename="camel"):
    """A line of the manifest."""

    key: str
    etag: str
    """Its ETag in S3 at the export; another one there means that the photograph has changed."""
    sha256: str
    """SHA-256 of the content, and name of the file."""
    name: str | None
    consent: str | None
    caller: str | None


class ExportedTrail(Struct, frozen=True, rename="camel"):
    """A line of the exported trail: the entries of one person."""

    person_id: str
    entries: list[AuditEntry]


class Export(Struct, rename="camel"):
    """The result of an export."""

    folder: str
    people: int = 0
    photographs: int = 0
    """Photographs in the folder now."""
    unchanged: int = 0
    """Photographs of these that were in the folder before."""
    rejected: int = 0
    """Photographs left out because they have no indexed face."""
    not_kept: int = 0
    """Photographs left out because the stage has not kept them (KEEP_PHOTOGRAPHS=0)."""
    interrupted: bool = False


class Import(Struct, rename="camel"):
    """The result of an import."""

    photographs: int = 0
    """Photographs in the manifest."""
    indexed: int = 0
    unchanged: int = 0
    """Photographs that the stage stored before."""
    waiting: int = 0
    """Photographs stored but not indexed yet."""
    interrupted: bool = False
    failed: list[Failure] = []


def export(stage: OpenStage, folder: Path, progress: Progress) -> Export:
    """Copy all photographs that are not rejected into a folder.

    An export that was stopped continues. After an interrupt (``KeyboardInterrupt``), return the
    result so far.

    Args:
        stage: the stage to read.
        folder: a new folder, or one of an earlier export.
        progress: shows the operator the progress.

    Raises:
        CannotDo: the folder contains other things.
    """
    _prepare(folder)
    report = Export(readable(folder))
    try:
        _export(stage, folder, progress, report)
    except KeyboardInterrupt:
        report.interrupted = True
    return report


def _export(stage: OpenStage, folder: Path, progress: Progress, report: Export) -> None:
    before = _read_manifest(folder, [])  # photographs with damaged lines are exported again
    _write_lines(folder / MANIFEST, list(before.values()))
    listed = list(_listed(stage, report))
    lines: list[ExportedPhotograph] = []
    progress.start("exporting", len(listed))

    def fetch(item: tuple[str, str]) -> tuple[ExportedPhotograph | None, bool]:
        key, etag = item
        known = before.get(key)
        if known and known.etag == etag and (folder / PHOTOGRAPHS / known.sha256).exists():
            return known, True
        return _fetch(stage, key, folder), False

    # Each photograph is written to the manifest at once, so that the next run can skip it.
    with (
        _private(folder / MANIFEST, "ab") as manifest,
        closing(PacedExecutor(RATE, pauses=RETRY_PAUSES).run(fetch, listed)) as outcomes,
    ):
        for _, (line, unchanged) in outcomes:
            if line is not None:
                lines.append(line)
                report.photographs += 1
                report.unchanged += unchanged
                if not unchanged:
                    manifest.write(msgspec.json.encode(line) + b"\n")
                    manifest.flush()
            progress.advance(1)
    lines.sort(key=lambda line: line.key)
    _write_lines(folder / MANIFEST, lines)
    people = sorted({person for line in lines if (person := person_of(line.key))})
    trails = [ExportedTrail(person, stage.audit.of_person(person)) for person in people]
    _write_lines(folder / TRAIL, trails)
    _delete_all_but(folder / PHOTOGRAPHS, {line.sha256 for line in lines})
    report.people = len(people)


def import_folder(
    stage: OpenStage, folder: Path, *, rate: float, patience: float, progress: Progress
) -> Import:
    """Store the photographs of an exported folder, and wait until their faces are indexed.

    Photographs that the stage stores already stay as they are, so an import can be stopped and
    repeated. After an interrupt (``KeyboardInterrupt``), return the result so far.

    Args:
        stage: the stage to store them in.
        folder: a folder that :func:`export` made.
        rate: photographs stored per second.
        patience: seconds without progress after which the wait for indexing ends.
        progress: shows the operator the progress.

    Raises:
        CannotDo: the folder is not an export, or its manifest is forged.
    """
    if not (folder / MANIFEST).exists():
        raise CannotDo(
            f"{folder} has no {MANIFEST}. Name a folder that faces export made.", "no_export"
        )
    report = Import()
    waiting: dict[str, bool] = {}  # whether each photograph is new, by keys
    try:
        _import_folder(
            stage,
            folder,
            report,
            rate=rate,
            patience=patience,
            progress=progress,
            waiting=waiting,
        )
    except KeyboardInterrupt:
        report.interrupted = True
        report.waiting = sum(waiting.values())
    return report


def _import_folder(
    stage: OpenStage,
    folder: Path,
    report: Import,
    *,
    rate: float,
    patience: float,
    progress: Progress,
    waiting: dict[str, bool],
) -> None:
    lines = _read_manifest(folder, report.failed)
    report.photographs = len(lines) + len(report.failed)
    stored = lines.keys() & {item.key for item in stage.photographs.list_all(PREFIX)}
    waiting |= dict.fromkeys(stored, False)
    report.unchanged = len(stored)
    operator = stage.operator

    def store(line: ExportedPhotograph) -> bool | Failure:
        file = folder / PHOTOGRAPHS / _file_name(line)
        try:
            content = file.read_bytes()
        except OSError as error:
            return Failure(line.key, "unreadable", f"{readable(file)}: {error.strerror}")
        if hashlib.sha256(content).hexdigest() != line.sha256:
            return Failure(
                line.key, "damaged", "The content is not that of the exported photograph."
            )
        try:
            photograph = from_bytes(content, MAX_STORED_BYTES)
        except Problem as problem:
            return Failure(line.key, problem.code, problem.detail)
        metadata = object_metadata(line.name, line.consent, operator)
        return stage.photographs.put(line.key, photograph, metadata, replace=False)

    # Only photographs to index count towards the rate.
    missing = [line for key, line in lines.items() if key not in stored]
    progress.start("importing", len(missing))
    with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(store, missing)) as outcomes:
        for line, outcome in outcomes:
            if isinstance(outcome, Failure):
                report.failed.append(outcome)
            else:
                report.unchanged += not outcome
                waiting[line.key] = outcome
            progress.advance(1)
    for trail in _read_lines(folder / TRAIL, ExportedTrail, report.failed):
        stage.audit.import_entries(trail.person_id, trail.entries)

    def settled(record: PhotographRecord) -> None:
        progress.advance(1)
        is_new = waiting.pop(record.image_key)
        if record.status == "indexed":
            report.indexed += is_new
        else:
            detail = record.detail or ""
            report.failed.append(Failure(record.image_key, record.reason or "", detail))

    progress.start("indexing", len(waiting))
    report.waiting = len(wait_until_indexed(stage, list(waiting), patience, settled))


def _listed(stage: OpenStage, report: Export) -> Iterator[tuple[str, str]]:
    """Yield keys and ETags of the photographs to export, and count the others."""
    after = None
    while page := stage.photographs.list_page(PREFIX, after, PAGE):
        after = page[-1].key
        known = stage.records.photographs(item.key for item in page)
        for item in page:
            record = known.get(item.key)
            if person_of(item.key) is None or (record and record.status == "rejected"):
                report.rejected += 1
            elif record and record.etag and is_placeholder(item.etag, record.etag):
                report.not_kept += 1
            else:
                yield item.key, item.etag


def _fetch(stage: OpenStage, key: str, folder: Path) -> ExportedPhotograph | None:
    """Copy a photograph into the folder; return None if it is gone, or is a placeholder."""
    stored = stage.photographs.head(key)
    if stored is None or not stored.is_kept:
        return None
    content = stage.photographs.read(stored)
    digest = hashlib.sha256(content).hexdigest()
    unfinished = folder / PHOTOGRAPHS / _unfinished(hashlib.sha256(key.encode()).hexdigest())
    with _private(unfinished, "wb") as file:
        file.write(content)
    unfinished.replace(folder / PHOTOGRAPHS / digest)
    return ExportedPhotograph(key, stored.etag, digest, stored.name, stored.consent, stored.caller)


def _file_name(line: ExportedPhotograph) -> str:
    """Return the name of a photograph's file; a forged manifest must not name another folder."""
    if len(line.sha256) != 64 or not set(line.sha256) <= set("0123456789abcdef"):
        raise CannotDo(f"{MANIFEST} is damaged at {line.key}.", "damaged")
    return line.sha256


def _prepare(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    ours = {MANIFEST, TRAIL, PHOTOGRAPHS, _unfinished(MANIFEST), _unfinished(TRAIL)}
    others = {path.name for path in folder.iterdir()} - ours
    if others:
        raise CannotDo(f"{folder} contains other things. Name a new folder.", "not_empty")
    folder.chmod(0o700)
    (folder / PHOTOGRAPHS).mkdir(mode=0o700, exist_ok=True)


def _private(path: Path, mode: str) -> BinaryIO:
    """Open a file, and create it readable by its owner only."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, 0o600)

    return cast("BinaryIO", open(path, mode, opener=opener))


def _read_manifest(folder: Path, failed: list[Failure]) -> dict[str, ExportedPhotograph]:
    """Read a manifest, by keys; the last line about a key counts."""
    lines = _read_lines(folder / MANIFEST, ExportedPhotograph, failed)
    return {line.key: line for line in lines}


def _read_lines(path: Path, kind: type[T], failed: list[Failure]) -> Iterator[T]:
    """Yield the lines of a file of :func:`_write_lines`, and fail damaged ones."""
    if not path.exists():
        return
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        try:
            yield msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError:
            if line.endswith(b"\n"):  # otherwise an export was stopped while it wrote the line
                failed.append(Failure(f"{path.name}:{number}", "damaged", "The line is damaged."))


def _unfinished(name: str) -> str:
    return f".{name}"


def _write_lines(path: Path, lines: Sequence[Struct]) -> None:
    unfinished = path.with_name(_unfinished(path.name))
    with _private(unfinished, "wb") as file:
        file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)
    unfinished.replace(path)


def _delete_all_but(folder: Path, names: set[str]) -> None:
    """Delete the files of photographs that the stage does not store any more."""
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()
