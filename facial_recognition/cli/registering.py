"""Register a folder of photographs: a folder per person, named by the person's id or name.

What has been done is told by the service itself: a photograph's key holds the SHA-256 of its
content, so a run that was stopped is gone on with by looking which keys have records already.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
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
from chalicelib.pacing import RETRY_PAUSES, PacedExecutor
from chalicelib.records import PhotographRecord
from chalicelib.storage import object_metadata
from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.settling import wait_until_indexed
from facial_recognition.cli.stage import Stage

PAGE = 100


class Candidate(Struct, frozen=True):
    """A file that is to be registered."""

    path: Path
    person_id: str
    name: str
    key: str = ""
    """Where it comes to lie in S3."""
    etag: str = ""
    """Which S3 gives to its content, mostly."""
    is_uploaded: bool = False
    """Whether it was put there not by a registration, but by an upload, under a key of its own."""


class Failure(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A photograph that is not registered, and why."""

    photograph: str
    code: str
    detail: str
    person_id: str | None = None
    """Whose the face is, where it is registered to another person."""


class Registration(Struct, rename="camel"):
    """What came of registering a folder."""

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
    """Photographs not begun with, where it was interrupted."""
    failed: list[Failure] = []


class Progress(Struct, frozen=True):
    """Whom to tell how far it has come."""

    begin: Callable[[str, int], None]
    """A phase, and how many photographs it is about."""
    advance: Callable[[int], None]


def register_folder(
    stage: Stage,
    folder: Path,
    *,
    consent: str | None,
    largest: bool,
    rate: float,
    patience: float,
    progress: Progress,
) -> Registration:
    """Register all photographs in a folder; an interrupt ends it with what has come of it.

    Args:
        stage: where.
        folder: holds a folder per person.
        consent: version of the text that all of them agreed to.
        largest: of several faces in a photograph, take the largest instead of refusing it.
        rate: photographs begun per second.
        patience: seconds without progress after which indexing is not waited for any more.
        progress: told how far it has come.

    Raises:
        CannotDo: there is nothing to register.
    """
    run = _Run(stage, consent, progress, largest=largest)
    try:
        run.register(folder, rate, patience)
    except KeyboardInterrupt:
        run.report.interrupted = True
        run.look()
    report = run.report
    report.waiting = len(run.paths)
    done = report.registered + report.unchanged + report.waiting + len(report.failed)
    report.left = max(0, report.photographs - done) if report.interrupted else 0
    report.failed.sort(key=lambda failure: failure.photograph)
    return report


def readable(path: Path) -> str:
    """Write a path so that it can be printed and sent: names of files are bytes, of any kind."""
    return os.fsencode(path).decode(errors="replace")


def person_id_of(folder_name: str) -> str:
    """Say under which id the person of a folder is registered.

    That is the folder's name, or, where that is no valid id, the beginning of its SHA-256.
    """
    if person_of(f"{PREFIX}{folder_name}/x"):
        return folder_name
    name = unicodedata.normalize("NFC", folder_name)
    return sha256(name.encode(errors="surrogateescape")).hexdigest()[:32]


def _in_words(problem: Problem) -> str:
    """Say what to do about a problem here, where no request is sent."""
    if problem.code == FaceRegisteredToAnotherPerson.code and problem.person_id:
        return f"The face is registered to {problem.person_id}."
    if problem.code == SeveralFaces.code:
        return f"{problem.detail} Or take the largest face, with --largest."
    return problem.detail


class _Run:
    """One run over a folder."""

    def __init__(
        self, stage: Stage, consent: str | None, progress: Progress, *, largest: bool
    ) -> None:
        self._stage = stage
        self._consent = consent
        self._largest = largest
        self._progress = progress
        self._operator = stage.operator
        self._first: dict[str, Candidate] = {}
        """By the SHA-256 of its content, the file that was first to have it."""
        self._etags: dict[str, dict[str, str]] = {}
        """Of the persons looked at, by their ids: keys of what lies in S3, by ETags."""
        self._outdated: dict[str, int] = {}
        """Of what is stored anew, by keys, how often its indexing had been begun before."""
        self.report = Registration()
        self.paths: dict[str, Path] = {}
        """Of what is stored and not known to be indexed, by keys."""

    def register(self, folder: Path, rate: float, patience: float) -> None:
        """Store what is not registered yet, and wait until it is indexed."""
        candidates = list(self._candidates(folder))
        self.report.photographs = len(candidates) + len(self.report.failed)
        if not self.report.photographs:
            raise CannotDo(f"{folder} holds no photographs, in a folder per person.", "no_photos")
        self._progress.begin("registering", len(candidates))
        wanted = self._not_registered(candidates)
        with closing(PacedExecutor(rate, pauses=RETRY_PAUSES).run(self._store, wanted)) as outcomes:
            for candidate, problem in outcomes:
                if problem is not None:
                    self._fail(candidate.path, problem.code, _in_words(problem), problem.person_id)
                self._progress.advance(1)
        self._progress.begin("indexing", len(self.paths))
        self.look(patience)

    def look(self, patience: float = 0) -> None:
        """Look how the indexing of what is stored has ended, and wait where it has not."""
        wait_until_indexed(self._stage, list(self.paths), patience, self._settled, self._outdated)

    def _fail(self, path: Path, code: str, detail: str, person_id: str | None = None) -> None:
        self.report.failed.append(Failure(readable(path), code, detail, person_id))

    def _candidates(self, folder: Path) -> Iterator[Candidate]:
        """Go through the files in order; hidden ones are no photographs."""
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                self._fail(entry, "no_person", "It lies in no person's folder.")
                continue
            person_id = person_id_of(entry.name)
            asked = {"name": unicodedata.normalize("NFC", entry.name), "personId": person_id}
            try:
                name = msgspec.convert(asked, RegisterRequest).name
            except msgspec.ValidationError:
                detail = "The folder's name cannot be a person's: too long, or not printable."
                self._fail(entry, "malformed_request", detail)
                continue
            failed, empty = len(self.report.failed), True
            for path in self._files(entry):
                empty = False
                yield Candidate(path, person_id, name)
            if empty and len(self.report.failed) == failed:
                self._fail(entry, "no_photographs", "The folder holds no photographs.")

    def _files(self, folder: Path) -> Iterator[Path]:
        """Go through the files below a folder in order, and fail what cannot be looked into."""

        def fail(error: OSError) -> None:
            self._fail(Path(error.filename), "unreadable", error.strerror or "It is unreadable.")

        for parent, folders, names in os.walk(folder, onerror=fail):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
            for name in sorted(name for name in [*names, *links] if not name.startswith(".")):
                path = Path(parent, name)
                if path.is_file():
                    yield path
                else:
                    detail = "It is no file, or a link that is not followed."
                    self._fail(path, "unreadable", detail)

    def _not_registered(self, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
        """Leave out what the records speak of already, and what cannot be registered at all."""
        remaining = iter(candidates)
        while page := list(islice(remaining, PAGE)):
            readable = [c for c in map(self._read, page) if c is not None]
            self._progress.advance(len(page) - len(readable))
            known = self._stage.records.photographs(candidate.key for candidate in readable)
            readable = [c if c.key in known else self._as_uploaded(c) for c in readable]
            known |= self._stage.records.photographs(c.key for c in readable if c.is_uploaded)
            for candidate in readable:
                record = known.get(candidate.key)
                if record is None or not self._is_same(record, candidate):
                    if record is not None and record.etag is not None:
                        self._outdated[candidate.key] = record.attempts
                    yield candidate
                    continue
                if record.status == "indexed":
                    self.report.unchanged += 1
                else:  # rejected, or still to be indexed
                    self.paths[candidate.key] = candidate.path
                self._progress.advance(1)

    def _as_uploaded(self, candidate: Candidate) -> Candidate:
        """Find the photograph where somebody has put it into S3 by another way.

        Not where ETags are no MD5: of uploads in parts, and under keys of KMS.
        """
        person = candidate.person_id
        if person not in self._etags:
            listed = self._stage.photographs.list_all(folder_of(person))
            self._etags[person] = {item.etag: item.key for item in listed}
        key = self._etags[person].get(candidate.etag, candidate.key)
        return replace(candidate, key=key, is_uploaded=key != candidate.key)

    def _is_same(self, record: PhotographRecord, candidate: Candidate) -> bool:
        if record.reason == PhotographNotKept.code:
            return False  # its face was lost, and only the photograph brings it back
        agreed = self._consent is None or record.consent == self._consent
        # Without an etag nobody has looked at the photograph: it may never have been stored.
        return agreed and record.name == candidate.name and record.etag is not None

    def _read(self, candidate: Candidate) -> Candidate | None:
        """Look at a file, and say where it comes to lie in S3; None if it cannot be registered."""
        try:
            if candidate.path.stat().st_size > MAX_STORED_BYTES:
                raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
            photograph = from_bytes(candidate.path.read_bytes(), MAX_STORED_BYTES)
        except Problem as problem:
            self._fail(candidate.path, problem.code, problem.detail)
            return None
        except OSError as error:
            self._fail(candidate.path, "unreadable", error.strerror or "It cannot be read.")
            return None
        first = self._first.setdefault(photograph.sha256, candidate)
        if first is not candidate:
            if first.person_id == candidate.person_id:
                self.report.unchanged += 1
            else:
                # Neither is indexed yet, so the check against the collection would miss it.
                self._fail(
                    candidate.path,
                    FaceRegisteredToAnotherPerson.code,
                    f"It is the same photograph as {readable(first.path)}.",
                    first.person_id,
                )
            return None
        key = image_key(candidate.person_id, photograph.sha256, photograph.media_type)
        etag = md5(photograph.data, usedforsecurity=False).hexdigest()
        return replace(candidate, key=key, etag=etag)

    def _store(self, candidate: Candidate) -> Problem | None:
        """Register a photograph as POST /register does; give back why it cannot be."""
        stage = self._stage
        photograph = from_bytes(candidate.path.read_bytes(), MAX_STORED_BYTES)
        if len(photograph.data) > MAX_INLINE_BYTES or candidate.is_uploaded:
            # Rekognition looks at a large one only in S3: it is checked when it is indexed. So was
            # one that is there already, to which name and consent come now.
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
        # Noted here, so that an interrupt meanwhile does not lose sight of it.
        self.paths[candidate.key] = candidate.path
        return None

    def _settled(self, record: PhotographRecord) -> None:
        """Note how the indexing of a photograph ended."""
        path = self.paths.pop(record.image_key)
        if record.status == "indexed":
            self.report.registered += 1
        else:
            self._fail(path, record.reason or "", record.detail or "")
        self._progress.advance(1)
