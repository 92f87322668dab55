"""Register a folder of photographs: a folder per person, named by the person's id or name.

The service itself knows which photographs are done. A photograph's key contains the SHA-256 of its
content, so a run that was stopped continues by looking up which keys have records already.
"""

import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing
from hashlib import md5, sha256
from itertools import islice
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import registration
from chalicelib.errors import (
    FaceRegisteredToAnotherPerson,
    ImageTooLarge,
    PhotographNotKept,
    Problem,
    SeveralFaces,
)
from chalicelib.images import MAX_INLINE_BYTES, MAX_STORED_BYTES, from_bytes
from chalicelib.keys import PREFIX, folder_of, image_key, person_of
from chalicelib.messages import RegisterRequest
from chalicelib.models import PhotographRecord
from chalicelib.pacing import RETRY_PAUSES, PacedExecutor
from chalicelib.storage import object_metadata
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.reporting import Failure, Progress, readable
from facial_recognition.cli.settling import wait_until_indexed
from facial_recognition.cli.stage import OpenStage

PAGE = 100


class Candidate(Struct, frozen=True):
    """A file to register."""

    path: Path
    person_id: str
    name: str
    key: str = ""
    """The photograph's key in S3."""
    etag: str = ""
    """The ETag that S3 gives to this content, in most cases."""
    is_uploaded: bool = False
    """Whether somebody uploaded it already, under a key of their own."""


class Registration(Struct, rename="camel"):
    """The result of registering a folder."""

    photographs: int = 0
    """Files found."""
    registered: int = 0
    """Photographs indexed by this run."""
    unchanged: int = 0
    """Photographs that were registered before."""
    waiting: int = 0
    """Photographs stored but not indexed yet."""
    interrupted: bool = False
    left: int = 0
    """Photographs not started, after an interrupt."""
    failed: list[Failure] = []


def register_folder(
    stage: OpenStage,
    folder: Path,
    *,
    consent: str | None,
    largest: bool,
    rate: float,
    patience: float,
    progress: Progress,
) -> Registration:
    """Register all photographs in a folder.

    After an interrupt (``KeyboardInterrupt``), return the result so far.

    Args:
        stage: the stage to register people on.
        folder: contains a folder per person.
        consent: version of the text that all of them agreed to.
        largest: whether to take the largest of several faces, instead of refusing the photograph.
        rate: photographs started per second.
        patience: seconds without progress after which the wait for indexing ends.
        progress: shows the operator the progress.

    Raises:
        CannotDo: there is nothing to register.
    """
    run = _Run(stage, consent, progress, largest=largest)
    try:
        run.register(folder, rate, patience)
    except KeyboardInterrupt:
        run.report.interrupted = True
        run.wait_until_indexed()
    report = run.report
    report.waiting = len(run.paths)
    done = report.registered + report.unchanged + report.waiting + len(report.failed)
    report.left = max(0, report.photographs - done) if report.interrupted else 0
    report.failed.sort(key=lambda failure: failure.photograph)
    return report


def person_id_of(folder_name: str) -> str:
    """Return the id of the person of a folder.

    It is the folder's name or, where that is not a valid id, the beginning of the name's SHA-256.
    """
    if person_of(f"{PREFIX}{folder_name}/x"):
        return folder_name
    name = unicodedata.normalize("NFC", folder_name)
    return sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


def _explain(problem: Problem) -> str:
    """Return a problem's detail in words of this command: the service's words fit requests."""
    if problem.code == FaceRegisteredToAnotherPerson.code and problem.person_id:
        return f"The face is registered to {problem.person_id}."
    if problem.code == SeveralFaces.code:
        return f"{problem.detail} Or add --largest to take the largest face."
    return problem.detail


class _Run:
    """One run over a folder."""

    def __init__(
        self, stage: OpenStage, consent: str | None, progress: Progress, *, largest: bool
    ) -> None:
        self._stage = stage
        self._consent = consent
        self._largest = largest
        self._progress = progress
        self._operator = stage.operator
        self._first: dict[str, Candidate] = {}
        """The first file with each content, by the SHA-256."""
        self._uploaded: dict[str, dict[str, str]] = {}
        """The keys of each person's objects in S3, by the person's id and the object's ETag."""
        self._outdated: dict[str, int] = {}
        """The ``attempts`` in the old records of photographs that are stored again, by keys."""
        self.report = Registration()
        self.paths: dict[str, Path] = {}
        """The files of photographs that are stored but not known to be indexed, by keys."""

    def register(self, folder: Path, rate: float, patience: float) -> None:
        """Store the photographs that are not registered yet, and wait until they are indexed."""
        candidates = list(self._candidates(folder))
        self.report.photographs = len(candidates) + len(self.report.failed)
        if not self.report.photographs:
            raise CannotDo(f"{folder} has no photographs in a folder per person.", "no_photos")
        self._progress.start("registering", len(candidates))
        wanted = self._not_registered(candidates)
        with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(self._store, wanted)) as outcomes:
            for candidate, problem in outcomes:
                if problem is not None:
                    self._fail(candidate.path, problem.code, _explain(problem), problem.person_id)
                self._progress.advance(1)
        self._progress.start("indexing", len(self.paths))
        self.wait_until_indexed(patience)

    def wait_until_indexed(self, patience: float = 0) -> None:
        """Report the photographs whose indexing has ended, and wait for the others.

        Args:
            patience: seconds without progress after which the wait ends.
        """
        wait_until_indexed(self._stage, list(self.paths), patience, self._settled, self._outdated)

    def _fail(self, path: Path, code: str, detail: str, person_id: str | None = None) -> None:
        self.report.failed.append(Failure(readable(path), code, detail, person_id))

    def _candidates(self, folder: Path) -> Iterator[Candidate]:
        """Yield the files in order, without hidden ones, and fail files that belong to nobody."""
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                self._fail(entry, "no_person", "The file is not in the folder of a person.")
                continue
            person_id = person_id_of(entry.name)
            fields = {"name": unicodedata.normalize("NFC", entry.name), "personId": person_id}
            try:
                name = msgspec.convert(fields, RegisterRequest).name
            except msgspec.ValidationError:
                detail = "The folder's name is too long for a person's name, or is not printable."
                self._fail(entry, "malformed_request", detail)
                continue
            failed, is_empty = len(self.report.failed), True
            for path in self._files(entry):
                is_empty = False
                yield Candidate(path, person_id, name)
            if is_empty and len(self.report.failed) == failed:
                self._fail(entry, "no_photographs", "The folder has no photographs.")

    def _files(self, folder: Path) -> Iterator[Path]:
        """Yield the files below a folder in order, and fail folders that cannot be read."""

        def fail(error: OSError) -> None:
            self._fail(
                Path(error.filename), "unreadable", error.strerror or "The folder cannot be read."
            )

        for parent, folders, names in os.walk(folder, onerror=fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            for name in sorted(name for name in [*names, *links] if not name.startswith(".")):
                path = Path(parent, name)
                if path.is_file():
                    yield path
                else:
                    detail = "This is not a file, or a link to a folder, which is not followed."
                    self._fail(path, "unreadable", detail)

    def _not_registered(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Yield the candidates that are not registered yet, and fail those that cannot be."""
        remaining = iter(candidates)
        while page := list(islice(remaining, PAGE)):
            usable = [c for c in map(self._read, page) if c is not None]
            self._progress.advance(len(page) - len(usable))
            known = self._stage.records.photographs(candidate.key for candidate in usable)
            usable = [c if c.key in known else self._as_uploaded(c) for c in usable]
            known |= self._stage.records.photographs(c.key for c in usable if c.is_uploaded)
            for candidate in usable:
                record = known.get(candidate.key)
                if record is None or not self._is_same(record, candidate):
                    if record is not None and record.etag is not None:
                        self._outdated[candidate.key] = record.attempts
                    yield candidate
                    continue
                if record.status == "indexed":
                    self.report.unchanged += 1
                else:  # it was rejected, or is not indexed yet
                    self.paths[candidate.key] = candidate.path
                self._progress.advance(1)

    def _as_uploaded(self, candidate: Candidate) -> Candidate:
        """Return a candidate with the key of the same photograph that somebody uploaded, if any.

        It is not found where its ETag is no MD5: after an upload in parts, or with a key of KMS.
        """
        person = candidate.person_id
        if person not in self._uploaded:
            listed = self._stage.photographs.list_all(folder_of(person))
            self._uploaded[person] = {item.etag: item.key for item in listed}
        key = self._uploaded[person].get(candidate.etag, candidate.key)
        return replace(candidate, key=key, is_uploaded=key != candidate.key)

    def _is_same(self, record: PhotographRecord, candidate: Candidate) -> bool:
        if record.reason == PhotographNotKept.code:
            return False  # its face is lost, and only the photograph brings it back
        agreed = self._consent is None or record.consent == self._consent
        # A registration writes the record first, without an ETag. Such a photograph may be missing.
        return agreed and record.name == candidate.name and record.etag is not None

    def _read(self, candidate: Candidate) -> Candidate | None:
        """Read a file and return it with its key and ETag; None if it cannot be registered."""
        try:
            if candidate.path.stat().st_size > MAX_STORED_BYTES:
                raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
            photograph = from_bytes(candidate.path.read_bytes(), MAX_STORED_BYTES)
        except Problem as problem:
            self._fail(candidate.path, problem.code, problem.detail)
            return None
        except OSError as error:
            self._fail(candidate.path, "unreadable", error.strerror or "The file cannot be read.")
            return None
        first = self._first.setdefault(photograph.sha256, candidate)
        if first is not candidate:
            if first.person_id == candidate.person_id:
                self.report.unchanged += 1
            else:
                # The first one may not be indexed yet, so the collection would not tell.
                self._fail(
                    candidate.path,
                    FaceRegisteredToAnotherPerson.code,
                    f"This is the same photograph as {readable(first.path)}.",
                    first.person_id,
                )
            return None
        key = image_key(candidate.person_id, photograph.sha256, photograph.media_type)
        etag = md5(photograph.data, usedforsecurity=False).hexdigest()
        return replace(candidate, key=key, etag=etag)

    def _store(self, candidate: Candidate) -> Problem | None:
        """Register a photograph as POST /register does, and return the problem if there is one."""
        stage = self._stage
        photograph = from_bytes(candidate.path.read_bytes(), MAX_STORED_BYTES)
        if len(photograph.data) > MAX_INLINE_BYTES or candidate.is_uploaded:
            # Rekognition reads a large photograph only from S3, so indexing checks it. An uploaded
            # one was checked when it was indexed; it gets a name and a consent now.
            metadata = object_metadata(candidate.name, self._consent, self._operator)
            stage.photographs.put(candidate.key, photograph, metadata, replace=True)
            self.paths[candidate.key] = candidate.path
            return None
        request = RegisterRequest(
            name=candidate.name,
            person_id=candidate.person_id,
            consent=self._consent,
            image=photograph,
        )
        try:
            registration.register(
                request,
                stage.photographs,
                stage.records,
                stage.faces,
                stage.settings,
                caller=self._operator,
                largest=self._largest,
            )
        except Problem as problem:
            return problem
        # Set in this thread, so that an interrupt does not lose the photograph.
        self.paths[candidate.key] = candidate.path
        return None

    def _settled(self, record: PhotographRecord) -> None:
        """Report how the indexing of a photograph ended."""
        path = self.paths.pop(record.image_key)
        if record.status == "indexed":
            self.report.registered += 1
        else:
            self._fail(path, record.reason or "", record.detail or "")
        self._progress.advance(1)
