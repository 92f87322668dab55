"""Bring the index of a photograph in line with S3: its record, and its face in the collection.

An event from S3 may come late, twice or out of order. So it is only a hint that a key may have
changed. :meth:`Converger.converge` looks at the present state and moves the record and the face to
it. It may be stopped before or after any call to AWS and be called again, and several calls may run
at once. The upload handler, the removal handler, ``POST /create-index`` and the forgetting of
people all call it. Nothing else indexes a photograph.

Terms: a *run* is one call of ``converge``. An *attempt* is the part of a run that changes
something; its id is that of the event or request. An attempt starts when its id is written into the
photograph's record, and it ends when its id is removed from there. A photograph is *settled* when
its record says how the indexing of the present content ended.

Races and crashes end well for these reasons:

- An attempt writes its id into the record before it calls Rekognition, together with the ETag of
  the content that it is going to index. DynamoDB accepts this only if no attempt has started or
  ended since the run read the record. At its end the attempt writes the outcome. DynamoDB accepts
  this only if the record still holds the same ETag and no other attempt has written the outcome. So
  of two attempts that collide, one has to look again. Two attempts that index the same content get
  the same face from Rekognition.
- An attempt may index a face and then fail to write it down. It removes that face itself. If it was
  stopped, its id is still in the record, and another run searches the collection for the face and
  removes it: a retry of the same event (Lambda keeps the request id), or any run once
  ``ATTEMPT_SECONDS`` have passed.
- A run ends with a look at object, record and collection that finds nothing to do and no other
  attempt in progress. So if one run removes a face that another run needs, the other run sees it.

A stage may keep no photographs (``KEEP_PHOTOGRAPHS``). Then a run ends by replacing the photograph
with its placeholder, unless another upload came first, and by deleting the older versions. The
placeholder carries the ETag of the photograph, and everything above holds for it as well: the face
stays while the placeholder is there, and is removed with it.
"""

import random
import time
from typing import Literal

from botocore.exceptions import ClientError
from msgspec import Struct
from msgspec.structs import replace

from chalicelib import telemetry
from chalicelib.audit import AuditTrail, Event
from chalicelib.errors import (
    ImageTooLarge,
    InvalidKey,
    PhotographNotKept,
    Problem,
    ServiceUnavailable,
    UnsupportedImage,
)
from chalicelib.faces import Faces, IndexedFace
from chalicelib.images import MAX_STORED_BYTES
from chalicelib.items import TransactWriteItem
from chalicelib.keys import PREFIX, person_of
from chalicelib.models import StoredPhotograph
from chalicelib.records import FaceRecord, PhotographRecord, RecordChanged, Records, now
from chalicelib.settings import Settings
from chalicelib.storage import Photographs, is_placeholder

PATIENCE = 6.0
"""Seconds after which a run stops waiting for others and leaves the photograph to a later run."""
TAKE_OVER_AFTER = 3.0
"""Seconds that a run waits for another attempt on the same content before it starts its own."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two looks."""


class Unsettled(ServiceUnavailable):
    """The photograph kept changing, or other attempts did not end: try again later."""


class Outcome(Struct, frozen=True):
    """The result of a run."""

    change: Literal["indexed", "rejected", "removed", "unchanged", "missing", "none"]
    person_id: str = ""
    face_id: str = ""
    code: str = ""
    """Code of the problem for which the photograph was rejected."""
    detail: str = ""
    """Text of the same problem."""


class Converger:
    """Keeps bucket, table and collection of one stage in agreement."""

    def __init__(
        self,
        photographs: Photographs,
        records: Records,
        faces: Faces,
        audit: AuditTrail,
        settings: Settings,
    ) -> None:
        """Use the stores of a stage, and its settings ATTEMPT_SECONDS and KEEP_PHOTOGRAPHS."""
        self.photographs = photographs
        self.records = records
        self.faces = faces
        self.audit = audit
        self.attempt_seconds = settings.attempt_seconds
        self.keep_photographs = settings.keep_photographs

    def converge(self, key: str, attempt: str, *, force: bool = False) -> Outcome:
        """Bring the record and the face of one photograph in line with S3.

        Args:
            key: key of the photograph.
            attempt: id of the attempt. A retry passes the id of the call that was stopped.
            force: index the photograph even if everything seems right.

        Raises:
            Unsettled: the photograph kept changing, or other attempts on it did not end.
            botocore.exceptions.ClientError: AWS refused a call; a retry continues from there.
        """
        work = telemetry.current()
        work.person_id = person_of(key)
        outcome = _Run(self, key, attempt, force=force).outcome()
        work.outcome, work.code = outcome.change, outcome.code
        return outcome


class _Run:
    """One run of converge."""

    def __init__(self, converger: Converger, key: str, attempt: str, *, force: bool) -> None:
        self._photographs = converger.photographs
        self._records = converger.records
        self._faces = converger.faces
        self._audit = converger.audit
        self._attempt_seconds = converger.attempt_seconds
        self._keep_photographs = converger.keep_photographs
        self._key = key
        self._attempt = attempt
        self._force = force
        self._started = time.monotonic()
        self._pause = FIRST_PAUSE
        self._has_started_attempt = False
        self._outcome: Outcome | None = None
        self._salt: bytes | None = None
        self._indexed: set[str] = set()
        """Faces that this run has indexed and that are not in the record yet."""

    def outcome(self) -> Outcome:
        """Look and act until there is nothing left to do; return the outcome."""
        while True:
            stored = self._photographs.head(self._key)
            record = self._records.photograph(self._key)
            if stored is None and record is None:
                self._faces.delete(sorted(self._indexed))
                return self._outcome or Outcome("missing")
            try:
                if record is None or not self._is_done(stored, record):
                    self._run_attempt(stored, record)
                elif not self._clean_up(record):
                    if self._attempts_of_others(record):
                        self._wait()
                    elif stored is None:
                        self._records.delete_photograph(record)
                    elif not self._ensure_placeholder(stored):
                        self._wait()
                    else:
                        return self._outcome or settled_outcome(record)
            except RecordChanged:
                self._wait()
            except ClientError as error:
                # The object was deleted between our look and Rekognition's.
                if error.response["Error"]["Code"] != "InvalidS3ObjectException":
                    raise
                self._wait()

    def _wait(self) -> None:
        """Give other attempts time to end."""
        if time.monotonic() - self._started > PATIENCE:
            raise Unsettled("The photograph keeps changing, or others are indexing it. Try later.")
        # A random part of the pause, so that several runs do not look all at once.
        time.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    # --- looking ---

    def _is_done(self, stored: StoredPhotograph | None, record: PhotographRecord) -> bool:
        """Return whether this run has to start no attempt, for now.

        For an object in S3, the record has to say how the indexing of its content ended. For a
        deleted one, no face may be left. If another attempt on the same content has just started,
        the run waits for it at first.
        """
        if stored is None:
            return record.etag is None and not record.face_ids
        if (self._force and stored.is_kept) or (record.etag, record.name, record.consent) != (
            stored.etag,
            _name(stored),
            stored.consent,
        ):
            return False
        if stored.is_kept and record.reason == PhotographNotKept.code:
            return False
        if record.status == "registered":
            is_fresh = time.monotonic() - self._started < TAKE_OVER_AFTER
            is_in_progress = bool(self._attempts_of_others(record))
            return is_fresh and is_in_progress and not self._has_started_attempt
        return self._faces.present(record.face_ids).issuperset(record.face_ids)

    def _attempts_of_others(self, record: PhotographRecord) -> set[str]:
        """Return the attempts of other runs that may be in progress."""
        return set(record.running) - self._ended_attempts(record)

    def _ended_attempts(self, record: PhotographRecord) -> set[str]:
        """Return the attempts in a record that are over: our own, and those out of time."""
        limit = time.time() - self._attempt_seconds
        return {a for a, since in record.running.items() if a == self._attempt or since < limit}

    def _left_behind(self, record: PhotographRecord) -> set[str]:
        """Return the faces that ended attempts may have left in the collection.

        This run knows which faces it has indexed. For attempts that were stopped, the whole
        collection is searched.
        """
        own = {self._attempt} if self._has_started_attempt else set()
        stopped = self._ended_attempts(record) - own
        if not stopped or record.person_id is None:
            return set(self._indexed)
        return self._indexed.union(self._faces.of_photograph(self._key, record.person_id))

    # --- acting ---

    def _ensure_placeholder(self, stored: StoredPhotograph) -> bool:
        """Replace a photograph that is not to be kept; return whether this was done before.

        If this run is stopped after it, the event of the placeholder starts another run.
        """
        if self._keep_photographs:
            return True
        if stored.is_kept:
            self._photographs.replace_with_placeholder(stored)
            return False
        return self._photographs.delete_older_versions(stored)

    def _clean_up(self, record: PhotographRecord) -> bool:
        """Remove the faces and the ids of ended attempts; return whether there were any."""
        ended = self._ended_attempts(record)
        stray = self._left_behind(record).difference(record.face_ids)
        self._indexed.clear()
        self._faces.delete(sorted(stray))
        self._records.end_attempts(self._key, sorted(ended))
        return bool(stray or ended)

    def _run_attempt(
        self, stored: StoredPhotograph | None, before: PhotographRecord | None
    ) -> None:
        """Index the present photograph, if there is one, and remove the faces of earlier ones."""
        left_behind = self._left_behind(before) if before else set(self._indexed)
        if self._salt is None:  # read now, so that fewer calls lie between start and end
            self._salt = self._audit.salt()
        record = self._records.start_attempt(before, self._attempt, stored, self._key)
        self._has_started_attempt, self._force = True, False
        settled, face = replace(record, face_ids=[], reason=None, detail=None), None
        if stored is not None:
            try:
                face = self._index(stored, before, record)
                settled = replace(
                    settled,
                    status="indexed",
                    face_ids=[face.face_id],
                    indexed_at=face.indexed_at,
                )
            except Problem as problem:
                settled = replace(
                    settled, status="rejected", reason=problem.code, detail=problem.detail
                )
        outdated = sorted(left_behind.union(record.face_ids).difference(settled.face_ids))
        self._faces.delete(outdated)
        entries = self._audit_entries(before, settled)
        if stored is None and not self._attempts_of_others(record):
            self._records.delete_photograph(record, outdated, entries)
        else:
            self._records.finish_attempt(settled, self._attempt, outdated, face, entries)
        self._indexed.clear()
        self._outcome = _outcome_of(settled)

    def _audit_entries(
        self, before: PhotographRecord | None, settled: PhotographRecord
    ) -> list[TransactWriteItem]:
        """Return the write of an audit entry, if the change means anything for the person."""
        if settled.status == "indexed":
            if before is not None and _is_same_registration(before, settled):
                return []
            event: Event = "registered"
        elif before is not None and before.face_ids:
            event = "removed"
        else:
            return []
        assert self._salt is not None
        return [self._audit.entry_write(self._salt, event, settled)]

    def _index(
        self, stored: StoredPhotograph, before: PhotographRecord | None, record: PhotographRecord
    ) -> FaceRecord:
        telemetry.current().photograph_bytes = stored.size
        person_id = person_of(stored.key)
        if person_id is None:
            raise InvalidKey(f"Put photographs under {PREFIX}<personId>/, with a valid person id.")
        if not stored.is_kept:
            return replace(self._face_of_placeholder(stored, before), name=record.name or "")
        if stored.size == 0:
            raise UnsupportedImage("The file is empty.")
        if stored.size > MAX_STORED_BYTES:
            raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
        # Index the version that was looked at. Another object may be there now, and the first one
        # again when the record is compared with S3.
        bucket = self._photographs.bucket
        indexed = self._faces.index(bucket, stored.key, stored.version_id, person_id)
        self._indexed.add(indexed.face_id)
        return _face_record(record, indexed)

    def _face_of_placeholder(
        self, placeholder: StoredPhotograph, before: PhotographRecord | None
    ) -> FaceRecord:
        """Return the face of a photograph that was not kept.

        Raises:
            PhotographNotKept: the face is lost.
        """
        if before is not None and before.etag == placeholder.etag:
            for face_id in self._faces.present(before.face_ids):
                if face := self._records.face(face_id):
                    return face
        raise PhotographNotKept("The photograph was not kept. Its face is lost: register it again.")


def is_settled(record: PhotographRecord, etag: str) -> bool:
    """Return whether a record says how the indexing of the content with ``etag`` ended."""
    if record.status == "registered" or record.etag is None or record.running:
        return False
    if record.etag == etag:
        return record.reason != PhotographNotKept.code
    return is_placeholder(etag, record.etag)


def settled_outcome(record: PhotographRecord) -> Outcome:
    """Return the outcome of a run that finds a photograph settled."""
    outcome = _outcome_of(record)
    return replace(outcome, change="unchanged") if outcome.change == "indexed" else outcome


def _outcome_of(record: PhotographRecord) -> Outcome:
    """Return the outcome of the attempt that wrote a record."""
    if record.status == "indexed":
        return Outcome("indexed", record.person_id or "", record.face_ids[0])
    if record.status == "rejected":
        return Outcome("rejected", code=record.reason or "", detail=record.detail or "")
    return Outcome("removed")


def _is_same_registration(before: PhotographRecord, settled: PhotographRecord) -> bool:
    """Return whether an indexed photograph was indexed before, with the same consent."""
    return (before.status, before.etag, before.consent) == (
        settled.status,
        settled.etag,
        settled.consent,
    )


def _name(stored: StoredPhotograph) -> str | None:
    """Return the name that the upload gave, or else the person's id."""
    return stored.name or person_of(stored.key)


def _face_record(record: PhotographRecord, indexed: IndexedFace) -> FaceRecord:
    return FaceRecord(
        face_id=indexed.face_id,
        person_id=record.person_id or "",
        name=record.name or "",
        image_key=record.image_key,
        bounding_box=indexed.face.bounding_box,
        confidence=indexed.face.confidence,
        quality=indexed.face.quality,
        indexed_at=now(),
        face_model_version=indexed.face_model_version,
    )
