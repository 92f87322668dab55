"""Bring the index in line with the photographs in S3.

An event from S3 may come late, twice or out of order, so it is only a hint that a key may have
changed. :func:`converge` looks at what is true now, and moves records and faces there. It may be
stopped at any point and called again. The upload handler, the removal handler and
``POST /create-index`` all call it; nothing else indexes or forgets a face.
"""

import base64
import time
from collections.abc import Iterator
from typing import Literal

import msgspec
from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import telemetry
from chalicelib.errors import (
    FieldError,
    ImageTooLarge,
    InvalidKey,
    MalformedRequest,
    Problem,
    UnsupportedImage,
    as_problem,
)
from chalicelib.faces import Faces, IndexedFace
from chalicelib.images import MAX_STORED_BYTES
from chalicelib.messages import (
    CreateIndexRequest,
    FailedPhotograph,
    IndexedPhotograph,
    IndexReport,
)
from chalicelib.storage import (
    PREFIX,
    FaceRecord,
    PhotographRecord,
    Photographs,
    RecordChanged,
    Records,
    StoredPhotograph,
    now,
    person_of,
)

MOST_ROUNDS = 8
"""Looks that one run takes before it leaves the rest to the next one."""
TIME_BUDGET = 20.0
"""Seconds of work in one ``/create-index``; API Gateway waits for 29."""
PAGE = 100


class Unsettled(Exception):
    """A photograph kept changing while it was being indexed: try again later."""


class Outcome(Struct, frozen=True):
    """What a run of :func:`converge` came to."""

    change: Literal["indexed", "rejected", "removed", "unchanged", "missing"]
    person_id: str = ""
    face_id: str = ""
    code: str = ""
    """Of the problem for which a photograph was rejected."""
    detail: str = ""


def converge(key: str, photographs: Photographs, records: Records, faces: Faces) -> Outcome:
    """Make records and collection say of one photograph what S3 says now.

    Raises:
        Unsettled: it kept changing meanwhile.
        botocore.exceptions.ClientError: AWS refused a call; calling again goes on from there.
    """
    outcome: Outcome | None = None
    for _ in range(MOST_ROUNDS):
        stored, record = photographs.head(key), records.photograph(key)
        if stored is None and record is None:
            return outcome or Outcome("missing")
        if (
            stored is not None
            and record is not None
            and _is_settled(record, stored.etag)
            and record.name == _name(stored)
            and faces.holds(record.face_ids)
        ):
            return outcome or _settled_outcome(record)
        try:
            if stored is not None:
                outcome = _index(stored, record, photographs.bucket, records, faces)
            elif record is not None:
                outcome = _remove(record, records, faces)
        except RecordChanged:
            continue
        except ClientError as error:
            # The object went away between our look and Rekognition's.
            if error.response["Error"]["Code"] != "InvalidS3ObjectException":
                raise
    raise Unsettled(f"not settled after {MOST_ROUNDS} rounds")


def _is_settled(record: PhotographRecord, etag: str) -> bool:
    return record.status != "registered" and record.etag == etag


def _settled_outcome(record: PhotographRecord) -> Outcome:
    """Say of a photograph that is as it should be what is to be known of it."""
    if record.status == "rejected":
        return Outcome("rejected", code=record.reason or "", detail=record.detail or "")
    return Outcome("unchanged", person_id=record.person_id or "", face_id=record.face_ids[0])


def _name(stored: StoredPhotograph) -> str | None:
    """Return the name given at the upload, else the person's id."""
    return stored.name or person_of(stored.key)


def _index(
    stored: StoredPhotograph,
    before: PhotographRecord | None,
    bucket: str,
    records: Records,
    faces: Faces,
) -> Outcome:
    """Index what is stored now, and forget the faces of what was stored before."""
    person_id = person_of(stored.key)
    record = records.begin(stored.key, stored.etag, person_id, _name(stored))
    known = _known_faces(record, before, stored.etag, faces)
    indexed, problem = None, None
    try:
        indexed = _index_face(stored, person_id, bucket, faces)
    except Problem as error:
        problem = error

    outdated = [face_id for face_id in known if indexed is None or face_id != indexed.face_id]
    if outdated:
        # Their records go first, so that nobody is named by them; they stay listed here until
        # they are gone from the collection too.
        records.settle(replace(record, face_ids=known), None, outdated)
        faces.forget(outdated)
    if indexed is None:
        assert problem is not None
        rejected = replace(
            record,
            status="rejected",
            face_ids=[],
            reason=problem.code,
            detail=problem.detail,
        )
        records.settle(rejected, None, ())
        return _settled_outcome(rejected)
    settled = replace(
        record,
        status="indexed",
        face_ids=[indexed.face_id],
        reason=None,
        detail=None,
        indexed_at=now(),
    )
    records.settle(settled, _face_record(settled, indexed), ())
    return Outcome("indexed", person_id=person_id or "", face_id=indexed.face_id)


def _index_face(
    stored: StoredPhotograph, person_id: str | None, bucket: str, faces: Faces
) -> IndexedFace:
    if person_id is None:
        raise InvalidKey(f"Put photographs under {PREFIX}<personId>/, with a valid person id.")
    if stored.size == 0:
        raise UnsupportedImage("The file is empty.")
    if stored.size > MAX_STORED_BYTES:
        raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
    return faces.index(bucket, stored.key, person_id)


def _remove(record: PhotographRecord, records: Records, faces: Faces) -> Outcome:
    """Forget the faces and records of a photograph that is gone."""
    known = _known_faces(record, record, None, faces)
    faces.forget(known)
    records.forget(replace(record, face_ids=known))
    return Outcome("removed")


def _known_faces(
    record: PhotographRecord,
    before: PhotographRecord | None,
    etag: str | None,
    faces: Faces,
) -> list[str]:
    """Return the faces that the collection may hold because of a photograph.

    Where an earlier attempt was stopped before it could record its face, and its content is
    gone, so that indexing it again would not give the face back, the collection is searched.
    """
    stopped = before is not None and before.status == "registered" and before.attempts > 0
    if before is None or not stopped or before.etag == etag or record.person_id is None:
        return list(record.face_ids)
    found = faces.of_photograph(record.image_key, record.person_id)
    return list(dict.fromkeys([*record.face_ids, *found]))


def _face_record(record: PhotographRecord, indexed: IndexedFace) -> FaceRecord:
    return FaceRecord(
        face_id=indexed.face_id,
        person_id=record.person_id or "",
        name=record.name or "",
        image_key=record.image_key,
        bounding_box=indexed.face.bounding_box,
        confidence=indexed.face.confidence,
        quality=indexed.face.quality,
        indexed_at=record.indexed_at or "",
        face_model_version=indexed.face_model_version,
    )


# --- POST /create-index ---------------------------------------------------------------------


class Position(Struct, frozen=True):
    """Where a walk through all photographs goes on: first those in S3, then the records."""

    phase: Literal["photographs", "records"] = "photographs"
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
            return msgspec.json.decode(base64.urlsafe_b64decode(token), type=cls)
        except (ValueError, msgspec.DecodeError):
            detail = "Expected the nextToken of an earlier answer"
            raise MalformedRequest(
                f"nextToken: {detail}", errors=[FieldError("nextToken", detail)]
            ) from None


def create_index(
    request: CreateIndexRequest,
    photographs: Photographs,
    records: Records,
    faces: Faces,
) -> IndexReport:
    """Create the collection when it is missing, and converge the photographs asked for.

    What does not fit into the time budget is left to a next call with ``nextToken``.

    Raises:
        MalformedRequest: the token is none of ours, or the key not one of a photograph.
    """
    position = Position.from_token(request.next_token) if request.next_token else Position()
    if request.image_key is not None and not request.image_key.startswith(PREFIX):
        detail = f"Expected a key that begins with {PREFIX}"
        raise MalformedRequest(f"imageKey: {detail}", errors=[FieldError("imageKey", detail)])
    faces.create_collection()
    report = IndexReport(collection_id=faces.collection_id)
    if request.image_key is not None:
        _add(
            report,
            request.image_key,
            _try_to_converge(request.image_key, photographs, records, faces),
        )
        return report

    deadline = time.monotonic() + TIME_BUDGET
    has_worked = False
    for key, settled, place in _walk(request.person_id, position, photographs, records):
        if settled is not None:
            _add(report, key, settled)
        elif has_worked and time.monotonic() >= deadline:
            report.next_token = place.to_token()
            break
        else:
            _add(report, key, _try_to_converge(key, photographs, records, faces))
            has_worked = True
    return report


def _walk(
    person_id: str | None, start: Position, photographs: Photographs, records: Records
) -> Iterator[tuple[str, Outcome | None, Position]]:
    """Walk through a person's or everybody's photographs.

    Yields:
        A key, its outcome if there is nothing to do, and the position before it.
    """
    prefix = PREFIX if person_id is None else f"{PREFIX}{person_id}/"
    after: str | None = start.after
    if start.phase == "photographs":
        while page := photographs.page(prefix, after, PAGE):
            known = records.photographs(item.key for item in page)
            for item in page:
                if not item.key.endswith("/"):  # a folder that the S3 console made
                    record = known.get(item.key)
                    settled = record is not None and _is_settled(record, item.etag)
                    outcome = _settled_outcome(record) if record and settled else None
                    yield item.key, outcome, Position("photographs", after)
                after = item.key
        after = None
    while True:
        found, next_after = records.page(person_id, after, PAGE)
        for record in found:
            if photographs.head(record.image_key) is None:
                yield record.image_key, None, Position("records", after)
        if next_after is None:
            return
        after = next_after


def _try_to_converge(
    key: str, photographs: Photographs, records: Records, faces: Faces
) -> Outcome | Problem:
    try:
        return converge(key, photographs, records, faces)
    except Exception as error:  # one photograph's trouble must not stop the others
        telemetry.failure(error)
        return as_problem(error)


def _add(report: IndexReport, key: str, outcome: Outcome | Problem) -> None:
    if isinstance(outcome, Problem):
        report.failed.append(FailedPhotograph(key, outcome.code, outcome.detail))
    elif outcome.change == "indexed":
        report.indexed.append(IndexedPhotograph(key, outcome.person_id, outcome.face_id))
    elif outcome.change == "rejected":
        report.failed.append(FailedPhotograph(key, outcome.code, outcome.detail))
    elif outcome.change == "missing":
        report.failed.append(FailedPhotograph(key, "image_missing", "There is no such photograph."))
    elif outcome.change == "removed":
        report.removed += 1
    else:
        report.unchanged += 1
