"""POST /create-index: converge all photographs, those of one person, or a single one.

A walk goes through the photographs in S3, and then through the records, for those whose photograph
is gone. A repair also looks at every face and removes strays: faces and records that no photograph
accounts for. A walk reads a page at a time and converges a few photographs at once, within the rate
that Rekognition's quota allows. If the time is up, the caller continues with a token.
"""

import base64
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Literal

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct

from chalicelib import telemetry
from chalicelib.convergence import Converger
from chalicelib.errors import (
    Forbidden,
    MalformedRequest,
    PhotographNotKept,
    Problem,
    as_problem,
    malformed,
)
from chalicelib.faces import external_image_id, person_of_image_id
from chalicelib.keys import PREFIX, folder_of, is_folder
from chalicelib.messages import (
    CreateIndexRequest,
    FailedPhotograph,
    IndexedPhotograph,
    IndexReport,
    Repaired,
)
from chalicelib.models import FaceRecord, PhotographRecord, is_person_id
from chalicelib.outcomes import Outcome, is_settled, settled_outcome
from chalicelib.pacing import PacedExecutor
from chalicelib.settings import Settings

TIME_BUDGET = 20.0
"""Seconds of work in one call; API Gateway waits for 29."""
PAGE = 100
"""Photographs, records or faces read at once."""

_INVALID_POSITION = frozenset(
    {
        "ValidationException",  # DynamoDB
        "InvalidPaginationTokenException",  # Rekognition
        "InvalidParameterException",
        "InvalidArgument",  # S3
    }
)
"""Error codes of AWS for a page that does not exist."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that XML cannot carry, so that no response of S3 holds them."""

_KEY_OF_REGISTRATION = re.compile(rf"{PREFIX}[^/]+/[0-9a-f]{{32,64}}\.(jpg|png)")

Phase = Literal["photographs", "records", "faces"]


class Position(Struct, frozen=True):
    """A position in a walk: the phase, and the key, item or page to start after."""

    phase: Phase = "photographs"
    after: str | None = None

    def to_token(self) -> str:
        """Return the position as a token that the caller sends back."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @classmethod
    def from_token(cls, token: str) -> "Position":
        """Return the position of a token.

        Raises:
            MalformedRequest: the token is not from an earlier response.
        """
        try:
            position = msgspec.json.decode(base64.urlsafe_b64decode(token), type=cls)
        except (ValueError, msgspec.DecodeError):
            raise _invalid_token() from None
        if position.after is not None and _NOT_IN_XML.search(position.after):
            raise _invalid_token()
        return position


class Step(Struct, frozen=True):
    """A photograph that a walk comes to."""

    key: str
    position: Position
    """The position before the photograph."""
    outcome: Outcome | None = None
    """The outcome, if there is nothing to do."""
    force: bool = False
    """Whether to index the photograph although its record says that it is indexed."""
    stray: list[str] = []
    """Faces of the photograph that no record lists."""


NOTHING = Outcome("none")
"""Outcome of a step without a photograph. A walk may stop there."""


def create_index(
    request: CreateIndexRequest, converger: Converger, attempt: str, settings: Settings
) -> IndexReport:
    """Create the collection if it is missing, and converge the selected photographs.

    Args:
        request: selects the photographs.
        converger: converges them.
        attempt: id of this call.
        settings: hold the rate and the settings of the log.

    Raises:
        MalformedRequest: the token is not from an earlier response, or the key is not one of a
            photograph.
    """
    start = Position.from_token(request.next_token) if request.next_token else Position()
    if request.image_key is not None and not request.image_key.startswith(PREFIX):
        raise malformed("imageKey", f"Expected a key that begins with {PREFIX}")
    converger.faces.create_collection()
    walk = Walk(converger, request.person_id, repair=request.repair)
    report = IndexReport(collection_id=converger.faces.collection_id)
    if request.image_key is not None:
        steps = iter([Step(request.image_key, start, force=request.repair)])
    else:
        steps = walk.steps(start)
    done: list[tuple[Step, Outcome | Problem]] = []

    def to_do(steps: Iterator[Step]) -> Iterator[Step]:
        for step in steps:
            if step.outcome is None:
                yield step
            else:
                done.append((step, step.outcome))

    def converge(step: Step) -> Outcome | Problem:
        try:
            with telemetry.photograph(attempt, settings):
                return converger.converge(step.key, attempt, force=step.force, stray=step.stray)
        except Exception as error:  # one photograph's error must not stop the others
            return as_problem(error)

    executor = PacedExecutor(settings.index_rate)
    with _blaming_token(request):
        # Each phase reads what the phase before has written, so it waits for that to finish.
        for _, phase in groupby(_in_time(steps, report), lambda step: step.position.phase):
            done += executor.run(converge, to_do(phase))
    for step, outcome in sorted(done, key=lambda pair: pair[0].key):
        _add(report, step.key, outcome)
    if request.repair:
        report.repaired = walk.repaired
    return report


def refuse_to_list(request: CreateIndexRequest) -> None:
    """Refuse requests that would tell a caller who is registered.

    A request may name one photograph by the key that a registration returned. That key holds a
    hash of the photograph or a random number, so nobody finds it by guessing.

    Raises:
        Forbidden: the request is any other one.
    """
    if request.image_key is None or not _KEY_OF_REGISTRATION.fullmatch(request.image_key):
        raise Forbidden("Who is registered is hidden here: send the imageKey of a registration.")


class Walk:
    """Goes through bucket, table and collection, and finds the photographs to converge."""

    def __init__(self, converger: Converger, person_id: str | None, *, repair: bool) -> None:
        """Prepare a walk.

        Args:
            converger: gives access to bucket, table and collection.
            person_id: limits the walk to the photographs of one person.
            repair: whether to check every face and remove strays.
        """
        self._photographs = converger.photographs
        self._records = converger.records
        self._faces = converger.faces
        self._keep_photographs = converger.keep_photographs
        self._person_id = person_id
        self._repair = repair
        self.repaired = Repaired()
        """Number of strays that the walk has removed."""

    def steps(self, start: Position) -> Iterator[Step]:
        """Yield the steps from a position on."""
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
        prefix = PREFIX if self._person_id is None else folder_of(self._person_id)
        while page := self._photographs.list_page(prefix, after, PAGE):
            known = self._records.photographs(item.key for item in page)
            settled = {
                item.key: known[item.key]
                for item in page
                if item.key in known
                and is_settled(known[item.key], item.etag)
                # A photograph that is not to be kept needs its placeholder.
                and (self._keep_photographs or item.etag != known[item.key].etag)
            }
            doubtful = self._doubtful(list(settled.values())) if self._repair else set()
            for item in page:
                position, after = Position("photographs", after), item.key
                if is_folder(item.key):
                    continue
                if item.key in settled and item.key not in doubtful:
                    yield Step(item.key, position, settled_outcome(settled[item.key]))
                else:
                    yield Step(item.key, position, force=item.key in doubtful)

    def _doubtful(self, records: list[PhotographRecord]) -> set[str]:
        """Return the keys of photographs that lack their face or its record, or seem to.

        The listing may not show a new face yet. To index its photograph again does no harm.
        """
        face_ids = [face_id for record in records for face_id in record.face_ids]
        present = self._faces.present(face_ids) & set(self._records.faces(face_ids))
        return {
            record.image_key
            for record in records
            if not present.issuperset(record.face_ids)
            or (record.reason == PhotographNotKept.code and record.face_ids)
        }

    def _through_records(self, after: str | None) -> Iterator[Step]:
        executor = PacedExecutor()
        while True:
            position = Position("records", after)
            yield Step("", position, NOTHING)
            found, faces, after = self._records.page(self._person_id, after, PAGE)
            keys = [record.image_key for record in found]
            stored = dict(executor.run(self._photographs.head, keys))
            for key in keys:
                if stored[key] is None:
                    yield Step(key, position)
            if self._repair:
                self._remove_stray_records(faces)
            if after is None:
                return

    def _remove_stray_records(self, faces: list[FaceRecord]) -> None:
        """Remove the records of faces that no photograph's record lists."""
        owners = self._records.photographs(face.image_key for face in faces)
        for face in faces:
            owner = owners.get(face.image_key)
            is_stray = owner is None or face.face_id not in owner.face_ids
            if is_stray and self._records.delete_face(face):
                self.repaired.records += 1

    def _through_faces(self, after: str | None) -> Iterator[Step]:
        """Remove the faces that have no record.

        A face that is just being indexed has no record either. So a face whose photograph is there,
        or has a record, is left to an attempt at that photograph.
        """
        while True:
            position = Position("faces", after)
            yield Step("", position, NOTHING)
            faces, after = self._faces.list_page(after)
            stray: dict[str, list[str]] = {}
            for face_id in sorted(faces.keys() - self._records.faces(faces).keys()):
                stray.setdefault(faces[face_id], []).append(face_id)
            unowned = dict(stray)
            for image_id, key in self._photographs_of(stray):
                self.repaired.faces += len(stray[image_id])
                yield Step(key, position, force=True, stray=unowned.pop(image_id))
            if unowned:
                face_ids = [face_id for some in unowned.values() for face_id in some]
                self._faces.delete(face_ids)
                self.repaired.faces += len(face_ids)
                for _, key in self._photographs_of(unowned):  # they came in meanwhile
                    yield Step(key, position, force=True)
            if after is None:
                return

    def _photographs_of(self, image_ids: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield the given ``ExternalImageId`` whose photographs are known, each with the key."""
        for person_id in sorted({person_of_image_id(image_id) for image_id in image_ids}):
            if not is_person_id(person_id):
                continue
            stored = self._photographs.list_all(folder_of(person_id))
            recorded, _ = self._records.of_person(person_id)
            keys = {item.key for item in stored} | {record.image_key for record in recorded}
            for key in sorted(keys):
                image_id = external_image_id(person_id, key)
                if image_id in image_ids:
                    yield image_id, key


def _in_time(steps: Iterator[Step], report: IndexReport) -> Iterator[Step]:
    """Yield steps until the time is up, at least one; then write the token into the report."""
    deadline = time.monotonic() + TIME_BUDGET
    for number, step in enumerate(steps):
        if number and time.monotonic() >= deadline:
            report.next_token = step.position.to_token()
            return
        yield step


@contextmanager
def _blaming_token(request: CreateIndexRequest) -> Iterator[None]:
    """Report that the token is malformed if AWS does not accept the position in it."""
    try:
        yield
    except ClientError as error:
        if request.next_token is None or error.response["Error"]["Code"] not in _INVALID_POSITION:
            raise
        raise _invalid_token() from error


def _invalid_token() -> MalformedRequest:
    return malformed("nextToken", "Expected the nextToken of an earlier response")


def _add(report: IndexReport, key: str, outcome: Outcome | Problem) -> None:
    """Add the outcome of a photograph to a report."""
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
