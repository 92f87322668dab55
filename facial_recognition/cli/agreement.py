"""Do bucket, table, its index of persons, and collection agree? And bring them to it."""

from collections.abc import Callable, Iterator
from typing import Literal
from uuid import uuid4

from msgspec import Struct

from chalicelib.convergence import is_settled
from chalicelib.indexing import create_index
from chalicelib.keys import PREFIX, person_of
from chalicelib.messages import CreateIndexRequest, FailedPhotograph
from chalicelib.pacing import PacedExecutor
from chalicelib.records import FaceRecord, PhotographRecord
from facial_recognition.cli.stage import Stage

PAGE = 1000
HANDFUL = 5

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
    "not_indexed": "the photograph is not indexed as it is now (or not yet)",
    "photograph_missing": "the record's photograph is gone",
    "face_missing": "the photograph's face is not in the collection",
    "face_record_missing": "the photograph's face has no record",
    "stray_face": "the face in the collection has no record",
    "stray_record": "the face's record belongs to no photograph",
    "not_in_index": "the table's index of persons does not show the item (or not yet)",
}


class Finding(Struct, frozen=True, order=True):
    """Something that does not fit together."""

    kind: Kind
    subject: str
    """A photograph's key, or the id of a face or of an item."""


class Repair(Struct, rename="camel"):
    """What a repair has done."""

    indexed: int = 0
    removed: int = 0
    """Photographs that were gone, with their faces and records."""
    faces: int = 0
    """Removed from the collection because they had no record."""
    records: int = 0
    """Of faces, removed because no photograph accounted for them."""
    failed: list[FailedPhotograph] = []


class Agreement(Struct, rename="camel"):
    """What a look at everything found."""

    photographs: int
    """Objects in S3."""
    recorded: int
    """Photographs of which there is a record."""
    faces: int
    """In the collection."""
    records: int
    """Items of the table."""
    findings: list[Finding]
    repaired: Repair | None = None

    def subjects(self, kind: Kind) -> list[str]:
        """List what one kind of findings is about."""
        return [finding.subject for finding in self.findings if finding.kind == kind]


class _State(Struct, frozen=True):
    """All that there is, as far as it matters here."""

    objects: dict[str, str]
    """ETags by keys."""
    photographs: dict[str, PhotographRecord]
    face_records: dict[str, FaceRecord]
    faces: set[str]
    listed: set[str]
    """Hash keys of the items that the index shows."""


def check(stage: Stage) -> Agreement:
    """Look at every object, record and face.

    Nothing holds still while it is looked at, so what seems wrong is looked at once more, closely.
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


def losses(stage: Stage, report: Agreement) -> list[str]:
    """Say what a repair would take away that is more than goes astray by itself.

    It does right where photographs were removed. But if the stage names another's bucket, or one
    that is empty, it would forget everybody; so would a table that is empty, where a face cannot be
    indexed again.
    """
    found = []
    missing = report.subjects("photograph_missing")
    if _are_many(missing, report.recorded):
        people = len({person_of(key) for key in missing})
        found.append(
            f"forget {len(missing)} of {report.recorded} photographs recorded, of {people} people,"
            f" because bucket {stage.settings.faces_bucket} does not hold them"
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


def repair(stage: Stage, advance: Callable[[int], None]) -> Repair:
    """Index what is not indexed, and remove what nothing accounts for."""
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


def _read(stage: Stage) -> _State:
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
        ids, token = stage.faces.list_page(token, PAGE)
        faces.update(ids)
        if token is None:
            break
    listed = set(stage.records.ids_in_person_index())
    return _State(objects, photographs, face_records, faces, listed)


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


def _read_closely(stage: Stage, findings: set[Finding]) -> _State:
    """Read what findings are about as it is now, and whatever belongs to it."""
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
    """Cut a list into pieces."""
    return (items[start : start + size] for start in range(0, len(items), size))
