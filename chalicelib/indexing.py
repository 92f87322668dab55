"""POST /create-index: converge all photographs, or those of one person, or one.

The walk goes through the photographs in S3, then through the records for those whose photograph
is gone; a repair looks at every face too, and removes what nothing accounts for. A page at a time
is read, a few photographs are indexed at once and no more per second than Rekognition's quota
allows, and what does not fit into the time is left to a next call.
"""

import base64
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import telemetry
from chalicelib.convergence import Converger, Outcome, is_settled, settled_outcome
from chalicelib.errors import Forbidden, MalformedRequest, Problem, as_problem
from chalicelib.messages import (
    CreateIndexRequest,
    FailedPhotograph,
    IndexedPhotograph,
    IndexReport,
    Repaired,
    malformed,
)
from chalicelib.settings import Settings
from chalicelib.storage import PREFIX, FaceRecord, PhotographRecord

TIME_BUDGET = 20.0
"""Seconds of work in one call; API Gateway waits for 29."""
PAGE = 100
"""Photographs, records or faces read at once."""
AT_ONCE = 8
"""Photographs converged at the same time."""

_CANNOT_GO_ON = frozenset(
    {
        "ValidationException",  # DynamoDB
        "InvalidPaginationTokenException",  # Rekognition
        "InvalidParameterException",
        "InvalidArgument",  # S3
    }
)

_IN_NO_LISTING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What XML cannot carry, and so no answer of S3."""

_KEY_OF_A_REGISTRATION = re.compile(rf"{PREFIX}[^/]+/[0-9a-f]{{32,64}}\.(jpg|png)")

Phase = Literal["photographs", "records", "faces"]


class Position(Struct, frozen=True):
    """Where a walk goes on: in which phase, and after which key, item or page of it."""

    phase: Phase = "photographs"
    after: str | None = None

    def to_token(self) -> str:
        """Write the position as a token for the caller to send back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def from_token(cls, token: str) -> "Position":
        """Read a token.

        Raises:
            MalformedRequest: it is none of ours.
        """
        try:
            position = msgspec.json.decode(base64.urlsafe_b64decode(token), type=cls)
        except (ValueError, msgspec.DecodeError):
            raise _no_token_of_ours() from None
        if position.after is not None and _IN_NO_LISTING.search(position.after):
            raise _no_token_of_ours()
        return position


class Step(Struct, frozen=True):
    """A photograph that a walk has come to."""

    key: str
    position: Position
    """Before it."""
    outcome: Outcome | None = None
    """If nothing has to be done."""
    anew: bool = False
    """Whether it has to be indexed though its record says that it is."""
    is_urgent: bool = False
    """Whether a walk that goes on later would not come to it again."""


NOTHING = Outcome("none")
"""Of a step that converges nothing, but at which a walk may be interrupted."""


def create_index(
    request: CreateIndexRequest, converger: Converger, attempt: str, settings: Settings
) -> IndexReport:
    """Create the collection when it is missing, and converge the photographs asked for.

    Args:
        request: which photographs.
        converger: bucket, table and collection.
        attempt: an id of this call.
        settings: how many photographs may be begun in a second, and how they are reported.

    Raises:
        MalformedRequest: the token is none of ours, or the key not one of a photograph.
    """
    position = Position.from_token(request.next_token) if request.next_token else Position()
    if request.image_key is not None and not request.image_key.startswith(PREFIX):
        raise malformed("imageKey", f"Expected a key that begins with {PREFIX}")
    converger.faces.create_collection()
    walk = Walk(converger, request.person_id, repair=request.repair)
    report = IndexReport(collection_id=converger.faces.collection_id)
    if request.image_key is not None:
        steps = iter([Step(request.image_key, position, anew=request.repair)])
    else:
        steps = walk.steps(position)

    def work(step: Step) -> Outcome | Problem:
        try:
            with telemetry.photograph(attempt, settings):
                return converger.converge(step.key, attempt, anew=step.anew)
        except Exception as error:  # one photograph's trouble must not stop the others
            return as_problem(error)

    deadline = time.monotonic() + TIME_BUDGET
    phase = position.phase
    with _refusing_made_up_tokens(request), Crew(work, settings.index_rate) as crew:
        for number, step in enumerate(steps):
            if number and time.monotonic() >= deadline and not step.is_urgent:
                report.next_token = step.position.to_token()
                break
            if step.position.phase != phase:  # which judges by what came of the one before
                phase = step.position.phase
                crew.finish()
            crew.take(step)
    for step, outcome in sorted(crew.done, key=lambda done: done[0].key):
        _add(report, step.key, outcome)
    if request.repair:
        report.repaired = walk.repaired
    return report


def refuse_to_list(request: CreateIndexRequest) -> None:
    """Let only those ask who name a photograph as a registration has named it to them.

    Its key is made of the photograph's content or of chance, so nobody finds out by guessing keys
    who is registered.

    Raises:
        Forbidden: any other request, since the answer would tell.
    """
    if request.image_key is None or not _KEY_OF_A_REGISTRATION.fullmatch(request.image_key):
        raise Forbidden("Who is registered is hidden here: send the imageKey of a registration.")


class Crew:
    """Converges photographs a few at a time, and only so many a second."""

    def __init__(self, work: Callable[[Step], Outcome | Problem], rate: float) -> None:
        """Take what converges a photograph, and how many may be begun in a second."""
        self._work = work
        self._interval = 1 / rate
        self._next_start = time.monotonic()
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._places = threading.Semaphore(AT_ONCE)
        self.done: list[tuple[Step, Outcome | Problem]] = []
        """What came of the photographs taken, in the order in which they were finished."""

    def take(self, step: Step) -> None:
        """Begin with a photograph as soon as there are a place and time for it."""
        if step.outcome is not None:
            self.done.append((step, step.outcome))
            return
        self._places.acquire()
        time.sleep(max(0.0, self._next_start - time.monotonic()))
        self._next_start = max(self._next_start, time.monotonic()) + self._interval
        self._threads.submit(self._converge, step)

    def finish(self) -> None:
        """Wait until nothing is under way."""
        for _ in range(AT_ONCE):
            self._places.acquire()
        self._places.release(AT_ONCE)

    def _converge(self, step: Step) -> None:
        self.done.append((step, self._work(step)))
        self._places.release()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(wait=True)


class Walk:
    """Goes through bucket, table and collection for what is not as it should be."""

    def __init__(self, converger: Converger, person_id: str | None, *, repair: bool) -> None:
        """Take bucket, table and collection, whose photographs (None: everybody's), how deep."""
        self._photographs = converger.photographs
        self._records = converger.records
        self._faces = converger.faces
        self._keep_photographs = converger.keep_photographs
        self._person_id = person_id
        self._repair = repair
        self.repaired = Repaired()
        """What was removed on the way because nothing accounted for it."""

    def steps(self, start: Position) -> Iterator[Step]:
        """Walk on from a position."""
        after = start.after
        if start.phase == "photographs":
            yield from self._through_photographs(after)
            after = None
        if start.phase != "faces":
            yield from self._through_records(after)
            after = None
        if self._repair and self._person_id is None:
            yield from self._through_faces(after)

    def _through_photographs(self, after: str | None) -> Iterator[Step]:
        prefix = PREFIX if self._person_id is None else f"{PREFIX}{self._person_id}/"
        while page := self._photographs.page(prefix, after, PAGE):
            known = self._records.photographs(item.key for item in page)
            settled = {
                item.key: known[item.key]
                for item in page
                if item.key in known
                and is_settled(known[item.key], item.etag)
                # Or else it is to be let go.
                and (self._keep_photographs or item.etag != known[item.key].etag)
            }
            doubtful = self._doubtful(list(settled.values())) if self._repair else set()
            for item in page:
                position, after = Position("photographs", after), item.key
                if item.key.endswith("/"):  # a folder that the S3 console made
                    continue
                if item.key in settled and item.key not in doubtful:
                    yield Step(item.key, position, settled_outcome(settled[item.key]))
                else:
                    yield Step(item.key, position, anew=item.key in doubtful)

    def _doubtful(self, records: list[PhotographRecord]) -> set[str]:
        """Return the keys of indexed photographs that lack their face or its record."""
        face_ids = [face_id for record in records for face_id in record.face_ids]
        present = self._faces.present(face_ids) & set(self._records.faces(face_ids))
        return {record.image_key for record in records if not present.issuperset(record.face_ids)}

    def _through_records(self, after: str | None) -> Iterator[Step]:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            while True:
                position = Position("records", after)
                yield Step("", position, NOTHING)
                found, faces, after = self._records.page(self._person_id, after, PAGE)
                keys = [record.image_key for record in found]
                stored = threads.map(telemetry.carried(self._photographs.head), keys)
                for record, photograph in zip(found, stored, strict=True):
                    if photograph is None:
                        yield Step(record.image_key, position)
                if self._repair:
                    self._remove_stray_records(faces)
                if after is None:
                    return

    def _remove_stray_records(self, faces: list[FaceRecord]) -> None:
        """Remove the records of faces that no photograph's record lists."""
        owners = self._records.photographs(face.image_key for face in faces)
        for face in faces:
            owner = owners.get(face.image_key)
            if (owner is None or face.face_id not in owner.face_ids) and self._records.drop(face):
                self.repaired.records += 1

    def _through_faces(self, after: str | None) -> Iterator[Step]:
        """Remove the faces that have no record.

        One that is just being indexed has none either: if it has one by the time when it is gone,
        it is indexed again.
        """
        while True:
            position = Position("faces", after)
            yield Step("", position, NOTHING)
            face_ids, after = self._faces.page(after, PAGE)
            known = self._records.faces(face_ids)
            stray = [face_id for face_id in face_ids if face_id not in known]
            if stray:
                self._faces.forget(stray)
                self.repaired.faces += len(stray)
                for face in self._records.faces(stray).values():
                    yield Step(face.image_key, position, anew=True, is_urgent=True)
            if after is None:
                return


@contextmanager
def _refusing_made_up_tokens(request: CreateIndexRequest) -> Iterator[None]:
    """Lay it on the caller when AWS cannot go on from where the caller's token says."""
    try:
        yield
    except ClientError as error:
        if request.next_token is None or error.response["Error"]["Code"] not in _CANNOT_GO_ON:
            raise
        raise _no_token_of_ours() from error


def _no_token_of_ours() -> MalformedRequest:
    return malformed("nextToken", "Expected the nextToken of an earlier answer")


def _add(report: IndexReport, key: str, outcome: Outcome | Problem) -> None:
    if isinstance(outcome, Problem):
        report.failed.append(FailedPhotograph(key, outcome.code, outcome.detail))
    elif outcome.change == "indexed":
        report.indexed.append(IndexedPhotograph(key, outcome.person_id, outcome.face_id))
    elif outcome.change == "rejected":
        report.failed.append(FailedPhotograph(key, outcome.code, outcome.detail))
    elif outcome.change == "missing":
        missing = FailedPhotograph(key, "image_missing", "There is no such photograph.")
        report.failed.append(missing)
    elif outcome.change == "removed":
        report.removed += 1
    elif outcome.change == "unchanged":
        report.unchanged += 1
