"""Check that bucket, table, its index of persons and collection agree, and repair them."""

from collections.abc import Callable, Iterator
from typing import Literal
from uuid import uuid4

from msgspec import Struct

from chalicelib.indexing import create_index
from chalicelib.keys import PREFIX, person_of
from chalicelib.messages import CreateIndexRequest, FailedPhotograph
from chalicelib.models import FaceRecord, PhotographRecord
from chalicelib.outcomes import is_settled
from chalicelib.pacing import PacedExecutor
from facial_recognition.cli.stage import OpenStage

PAGE = 1000
HANDFUL = 5
"""Items that go astray by themselves now and then."""

Kind = Literal[
    "not_indexed",
    "photograph_missing",
    "face_missing",
    "face_record_missing",
    "stray_face",
    "stray_record",
    "not_in_index",
]

MEANINGS: dict[Kind, str] = {
    "not_indexed": "the photograph's present version is not indexed (or not yet)",
    "photograph_missing": "the record's photograph is gone",
    "face_missing": "the photograph's face is not in the collection",
    "face_record_missing": "the photograph's face has no record",
    "stray_face": "the face in the collection has no record",
    "stray_record": "the face's record belongs to no photograph",
    "not_in_index": "the table's index of persons does not show the item (or not yet)",
}


class Finding(Struct, frozen=True, order=True):
    """One disagreement."""

    kind: Kind
    subject: str
    """The key of a photograph, or the id of a face or of an item."""


class Repair(Struct, rename="camel"):
    """The result of a repair."""

    indexed: int = 0
    removed: int = 0
    """Photographs that were gone: their faces and records are removed."""
    faces: int = 0
    """Faces removed from the collection because they had no record."""
    records: int = 0
    """Records of faces that belonged to no photograph, removed."""
    failed: list[FailedPhotograph] = []


class Agreement(Struct, rename="camel"):
    """The result of a check."""

    photographs: int
    """Objects in S3."""
    recorded: int
    """Photographs with a record."""
    faces: int
    """Faces in the collection."""
    records: int
    """Items of the table."""
    findings: list[Finding]
    repaired: Repair | None = None

    def subjects(self, kind: Kind) -> list[str]:
        """List the subjects of one kind of findings."""
        return [finding.subject for finding in self.findings if finding.kind == kind]


class _State(Struct, frozen=True):
    """The contents of bucket, table, index and collection, as far as a check needs them."""

    objects: dict[str, str]
    """ETags by keys."""
    photographs: dict[str, PhotographRecord]
    face_records: dict[str, FaceRecord]
    faces: set[str]
    listed: set[str]
    """Hash keys of the items in the table's index of persons."""


def check(stage: OpenStage) -> Agreement:
    """Compare every object, record and face.

    The service may change them meanwhile. So each disagreement is read once more before it counts.
    """
    state = _read(stage)
    findings = set(_findings(state))
    if findings:
        findings &= set(_findings(_read_closely(stage, findings)))
    return Agreement(
        photographs=len(state.objects),
        recorded=len(state.photographs),
        faces=len(state.faces),
        records=len(state.photographs) + len(state.face_records),
        findings=sorted(findings),
    )


def losses(stage: OpenStage, report: Agreement) -> list[str]:
    """Return a clause about each suspiciously large loss that a repair would cause.

    A repair is right where somebody removed photographs. But if the stage names a wrong or empty
    bucket, it would forget everybody. An empty table has the same effect on a stage that keeps no
    photographs, because their faces cannot be indexed again.
    """
    found = []
    missing = report.subjects("photograph_missing")
    if _are_many(missing, report.recorded):
        people = len({person_of(key) for key in missing})
        found.append(
            f"forget {len(missing)} of {report.recorded} recorded photographs, of {people} people,"
            f" because bucket {stage.settings.faces_bucket} does not contain them"
        )
    stray = report.subjects("stray_face")
    if not stage.settings.keep_photographs and _are_many(stray, report.faces):
        found.append(
            f"remove {len(stray)} of {report.faces} faces, because table"
            f" {stage.settings.faces_table} does not know them"
        )
    return found


def _are_many(some: list[str], of: int) -> bool:
    return len(some) > max(HANDFUL, of / 10)


def repair(stage: OpenStage, advance: Callable[[int], None]) -> Repair:
    """Index photographs that are not indexed, and remove stray faces and records.

    Args:
        stage: the stage to repair.
        advance: called with the number of photographs done since the last call.
    """
    done, token = Repair(), None
    while True:
        request = CreateIndexRequest(next_token=token, repair=True)
        report = create_index(request, stage.converger, uuid4().hex, stage.settings)
        done.indexed += len(report.indexed)
        done.removed += report.removed
        done.failed += report.failed
        if report.repaired:
            done.faces += report.repaired.faces
            done.records += report.repaired.records
        advance(len(report.indexed) + report.unchanged + len(report.failed))
        token = report.next_token
        if token is None:
            return done


def _read(stage: OpenStage) -> _State:
    stored = stage.photographs.list_all(PREFIX)
    objects = {item.key: item.etag for item in stored if not item.key.endswith("/")}
    photographs: dict[str, PhotographRecord] = {}
    face_records: dict[str, FaceRecord] = {}
    after = None
    while True:
        some, some_faces, after = stage.records.page(None, after, PAGE)
        photographs |= {record.image_key: record for record in some}
        face_records |= {record.face_id: record for record in some_faces}
        if after is None:
            break
    faces: set[str] = set()
    token = None
    while True:
        ids, token = stage.faces.list_page(token)
        faces.update(ids)
        if token is None:
            break
    return _State(
        objects, photographs, face_records, faces, set(stage.records.ids_in_person_index())
    )


def _findings(state: _State) -> Iterator[Finding]:
    for key, etag in state.objects.items():
        record = state.photographs.get(key)
        if record is None or not is_settled(record, etag):
            yield Finding("not_indexed", key)
    for key, record in state.photographs.items():
        if key not in state.objects:
            yield Finding("photograph_missing", key)
        if not state.faces.issuperset(record.face_ids):
            yield Finding("face_missing", key)
        if not state.face_records.keys() >= set(record.face_ids):
            yield Finding("face_record_missing", key)
        if record.person_id is not None and record.face_id not in state.listed:
            yield Finding("not_in_index", record.face_id)
    for face_id in state.faces - state.face_records.keys():
        yield Finding("stray_face", face_id)
    for face_id, face in state.face_records.items():
        owner = state.photographs.get(face.image_key)
        if owner is None or face_id not in owner.face_ids:
            yield Finding("stray_record", face_id)
        if face_id not in state.listed:
            yield Finding("not_in_index", face_id)


def _read_closely(stage: OpenStage, findings: set[Finding]) -> _State:
    """Read the subjects of findings once more, and the items that belong to them."""
    prefix = PhotographRecord.id_of("")
    keys, face_ids = set(), set()
    for finding in findings:
        if finding.kind in ("stray_face", "stray_record"):
            face_ids.add(finding.subject)
        elif finding.kind != "not_in_index":
            keys.add(finding.subject)
        elif finding.subject.startswith(prefix):
            keys.add(finding.subject.removeprefix(prefix))
        else:
            face_ids.add(finding.subject)
    looked_at = PacedExecutor().run(stage.photographs.head, sorted(keys))
    stored = [found for _, found in looked_at if found]
    photographs = stage.records.photographs(keys)
    face_ids |= {face_id for record in photographs.values() for face_id in record.face_ids}
    face_records = stage.records.faces(face_ids)
    owners = stage.records.photographs(face.image_key for face in face_records.values())
    faces: set[str] = set()
    for some in _batched(sorted(face_ids), PAGE):
        faces |= stage.faces.present(some)
    return _State(
        objects={found.key: found.etag for found in stored},
        photographs=photographs | owners,
        face_records=face_records,
        faces=faces,
        listed=set(stage.records.ids_in_person_index()),
    )


def _batched(items: list[str], size: int) -> Iterator[list[str]]:
    """Cut a list into pieces of at most ``size`` items."""
    return (items[start : start + size] for start in range(0, len(items), size))
