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
  stopped, its id is still in the record, with the version of the object that it may have indexed.
  Another run indexes that version again, which gives the same face, and removes the face: a retry
  of the same event (Lambda keeps the request id), or any run once ``ATTEMPT_SECONDS`` have passed.
  If the version is gone, the face stays until a repair. It belongs to no record, so nobody is
  recognised by it.
- A run may remove a face that another run writes down at the same time. Whoever removes one outside
  of a successful attempt marks the record as doubtful, and then the photograph is indexed again. So
  it is after a stopped attempt.
- A run ends with a look at object and record that finds nothing to do and no other attempt in
  progress.

No run asks Rekognition which faces there are: that takes longer with every person, and AWS does not
promise that a listing shows a new face at once.

A stage may keep no photographs (``KEEP_PHOTOGRAPHS``). Then a run ends by replacing the photograph
with its placeholder, unless another upload came first, and by deleting the older versions. The
placeholder carries the ETag of the photograph, and everything above holds for it as well: the face
stays while the placeholder is there, and is removed with it.
"""

import random
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError
from msgspec.structs import replace

from chalicelib import telemetry
from chalicelib.audit import AuditTrail, Event
from chalicelib.errors import (
    ImageTooLarge,
    InvalidKey,
    PhotographNotKept,
    Problem,
    ServiceUnavailable,
    Throttled,
    UnsupportedImage,
    as_problem,
)
from chalicelib.faces import Faces, IndexedFace
from chalicelib.images import MAX_STORED_BYTES
from chalicelib.items import TransactWriteItem
from chalicelib.keys import PREFIX, person_of
from chalicelib.models import FaceRecord, PhotographRecord, StoredPhotograph, now
from chalicelib.outcomes import Outcome, outcome_of, settled_outcome
from chalicelib.records import RecordChanged, Records
from chalicelib.settings import Settings
from chalicelib.storage import Photographs

PATIENCE = 6.0
"""Seconds after which a run stops waiting for others and leaves the photograph to a later run."""
TAKE_OVER_AFTER = 3.0
"""Seconds that a run waits for another attempt on the same content before it starts its own."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two looks."""
SHOWN_AFTER = timedelta(hours=1)
"""Time after which a face that a listing does not show counts as lost. AWS documents none."""


class Unsettled(ServiceUnavailable):
    """The photograph kept changing, or other attempts did not end: try again later."""


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

    def converge(
        self, key: str, attempt: str, *, force: bool = False, stray: Collection[str] = ()
    ) -> Outcome:
        """Bring the record and the face of one photograph in line with S3.

        Args:
            key: key of the photograph.
            attempt: id of the attempt. A retry passes the id of the call that was stopped.
            force: index the photograph even if everything seems right.
            stray: faces of the photograph that its record may not list.

        Raises:
            Unsettled: the photograph kept changing, or other attempts on it did not end.
            botocore.exceptions.ClientError: AWS refused a call; a retry continues from there.
        """
        work = telemetry.current()
        work.person_id = person_of(key)
        outcome = _Run(self, key, attempt, force=force, stray=stray).outcome()
        work.outcome, work.code = outcome.change, outcome.code
        return outcome


class _Run:
    """One run of converge."""

    def __init__(
        self, converger: Converger, key: str, attempt: str, *, force: bool, stray: Collection[str]
    ) -> None:
        self._photographs = converger.photographs
        self._records = converger.records
        self._faces = converger.faces
        self._audit = converger.audit
        self._attempt_seconds = converger.attempt_seconds
        self._keep_photographs = converger.keep_photographs
        self._key = key
        self._attempt = attempt
        self._force = force or bool(stray)
        self._started = time.monotonic()
        self._pause = FIRST_PAUSE
        self._has_started_attempt = False
        self._outcome: Outcome | None = None
        self._salt: bytes | None = None
        self._unrecorded = set(stray)
        """Faces of the photograph that are in the collection and may not be in the record."""
        self._has_deleted = False
        """Whether this run has deleted faces since it last wrote an outcome into the record."""

    def outcome(self) -> Outcome:
        """Look and act until there is nothing left to do; return the outcome."""
        while True:
            stored = self._photographs.head(self._key)
            record = self._records.photograph(self._key)
            if stored is None and record is None and not self._unrecorded:
                return self._outcome or Outcome("missing")
            try:
                if record is None or not self._is_done(stored, record):
                    self._run_attempt(stored, record)
                elif not self._end_own_attempt(record):
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
        if self._force or record.is_doubtful or self._stopped_attempts(record):
            return False
        if stored is None:
            return record.etag is None and not record.face_ids
        if (record.etag, record.name, record.consent) != (
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
        return True

    def _attempts_of_others(self, record: PhotographRecord) -> set[str]:
        """Return the attempts of other runs that may be in progress."""
        return set(record.running) - self._stopped_attempts(record) - {self._attempt}

    def _stopped_attempts(self, record: PhotographRecord) -> set[str]:
        """Return the attempts in a record that were stopped: those out of time, and that of a run
        that had the same id as this one.
        """
        limit = time.time() - self._attempt_seconds
        stopped = {attempt for attempt, since in record.running.items() if since < limit}
        own = {self._attempt}
        return stopped - own if self._has_started_attempt else stopped | (own & set(record.running))

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

    def _end_own_attempt(self, record: PhotographRecord) -> bool:
        """Remove what is left of an attempt of this run that could not write its outcome.

        Returns:
            Whether there was anything.
        """
        stray = self._unrecorded.difference(record.face_ids)
        self._delete(stray)
        self._unrecorded.clear()
        if not stray and self._attempt not in record.running:
            return False
        self._records.end_attempt(record, self._attempt, is_doubtful=self._has_deleted)
        self._has_deleted = False
        return True

    def _delete(self, face_ids: Collection[str]) -> None:
        if face_ids:
            self._has_deleted = True
            self._faces.delete(sorted(face_ids))

    def _run_attempt(
        self, stored: StoredPhotograph | None, before: PhotographRecord | None
    ) -> None:
        """Index the present photograph, if there is one, and remove the faces of earlier ones."""
        stopped = self._stopped_attempts(before) if before else set()
        if self._salt is None:  # read now, so that fewer calls lie between start and end
            self._salt = self._audit.salt()
        record = self._records.start_attempt(before, self._attempt, stored, self._key)
        self._has_started_attempt = True
        with self._releasing(record, stopped, stored):
            settled, face = self._settle(stored, before, record)
            self._find_faces_of(stopped, record, stored)
            outdated = self._unrecorded.union(record.face_ids).difference(settled.face_ids)
            self._delete(outdated)
        self._force = False
        entries = self._audit_entries(before, settled)
        if stored is None and not self._attempts_of_others(record):
            self._records.delete_photograph(record, sorted(outdated), entries)
        else:
            ended = sorted(stopped - {self._attempt})
            self._records.finish_attempt(
                settled,
                self._attempt,
                ended=ended,
                outdated=sorted(outdated),
                face=face,
                also=entries,
            )
        self._unrecorded.clear()
        self._has_deleted = False
        self._outcome = outcome_of(settled)

    @contextmanager
    def _releasing(
        self, record: PhotographRecord, stopped: set[str], stored: StoredPhotograph | None
    ) -> Iterator[None]:
        """End the attempt if AWS throttles its first change, so that it leaves nothing to look for.

        A call that was tried again may have done something before it was throttled.
        """
        is_doubtful = self._has_deleted
        try:
            yield
        except ClientError as error:
            is_first_change = error.operation_name == "IndexFaces" or (
                stored is None and not stopped
            )
            if (
                is_first_change
                and not self._unrecorded
                and self._attempt not in stopped
                and isinstance(as_problem(error), Throttled)
                and _is_first_try(error)
            ):
                with suppress(RecordChanged):
                    self._records.end_attempt(record, self._attempt, is_doubtful=is_doubtful)
            raise

    def _settle(
        self,
        stored: StoredPhotograph | None,
        before: PhotographRecord | None,
        record: PhotographRecord,
    ) -> tuple[PhotographRecord, FaceRecord | None]:
        """Index the present photograph; return its new record, and that of its face."""
        settled = replace(record, face_ids=[], reason=None, detail=None)
        if stored is None:
            return settled, None
        try:
            face = self._index(stored, before, record)
        except Problem as problem:
            # A face that cannot be indexed again is not deleted: perhaps Rekognition still has it.
            is_lost = isinstance(problem, PhotographNotKept) and _is_about(before, stored)
            face_ids = record.face_ids if is_lost else []
            return replace(
                settled,
                status="rejected",
                face_ids=face_ids,
                reason=problem.code,
                detail=problem.detail,
            ), None
        return replace(
            settled, status="indexed", face_ids=[face.face_id], indexed_at=face.indexed_at
        ), face

    def _find_faces_of(
        self, stopped: set[str], record: PhotographRecord, stored: StoredPhotograph | None
    ) -> None:
        """Find the faces that stopped attempts may have left in the collection.

        "If you provide the same image, specify the same collection, and use the same external ID in
        the IndexFaces operation, Amazon Rekognition doesn't save duplicate face metadata."
        Source: "IndexFaces" in the Amazon Rekognition API Reference.
        """
        if person_of(self._key) is None:
            return
        versions = {version for attempt in stopped for version in record.versions.get(attempt, ())}
        if stored is not None:
            versions.discard(stored.version_id or "")
        for version in sorted(versions):
            with suppress(Problem):  # an image without a face has left none
                try:
                    self._add_face(version)
                except ClientError as error:  # the version may be gone
                    if error.response["Error"]["Code"] != "InvalidS3ObjectException":
                        raise

    def _add_face(self, version: str | None) -> IndexedFace:
        """Index one version of the photograph."""
        person_id = person_of(self._key)
        assert person_id is not None
        indexed = self._faces.index(self._photographs.bucket, self._key, version, person_id)
        self._unrecorded.add(indexed.face_id)
        return indexed

    def _audit_entries(
        self, before: PhotographRecord | None, settled: PhotographRecord
    ) -> list[TransactWriteItem]:
        """Return the write of an audit entry, if the change means anything for the person."""
        if settled.status == "indexed":
            if before is not None and _is_same_registration(before, settled):
                return []
            event: Event = "registered"
        elif before is not None and before.face_ids and not settled.face_ids:
            event = "removed"
        else:
            return []
        assert self._salt is not None
        return [self._audit.entry_write(self._salt, event, settled)]

    def _index(
        self, stored: StoredPhotograph, before: PhotographRecord | None, record: PhotographRecord
    ) -> FaceRecord:
        telemetry.current().photograph_bytes = stored.size
        if person_of(stored.key) is None:
            raise InvalidKey(f"Put photographs under {PREFIX}<personId>/, with a valid person id.")
        if not stored.is_kept:
            return replace(self._face_of_placeholder(stored, before), name=record.name or "")
        if stored.size == 0:
            raise UnsupportedImage("The file is empty.")
        if stored.size > MAX_STORED_BYTES:
            raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
        # Index the version that was looked at. Another object may be there now, and the first one
        # again when the record is compared with S3.
        return _face_record(record, self._add_face(stored.version_id))

    def _face_of_placeholder(
        self, placeholder: StoredPhotograph, before: PhotographRecord | None
    ) -> FaceRecord:
        """Return the face of a photograph that was not kept.

        Raises:
            PhotographNotKept: the face is lost.
        """
        if before is not None and _is_about(before, placeholder):
            for face_id in before.face_ids:
                face = self._records.face(face_id)
                if face is not None and (not self._force or self._is_there(face)):
                    return face
        raise PhotographNotKept("The photograph was not kept. Its face is lost: register it again.")

    def _is_there(self, face: FaceRecord) -> bool:
        """Return whether a face seems to be in the collection; a listing may not show a new one."""
        age = datetime.now(UTC) - datetime.fromisoformat(face.indexed_at)
        return age < SHOWN_AFTER or bool(self._faces.present([face.face_id]))


def _is_same_registration(before: PhotographRecord, settled: PhotographRecord) -> bool:
    """Return whether an indexed photograph was indexed before, with the same consent."""
    return (before.status, before.etag, before.consent) == (
        settled.status,
        settled.etag,
        settled.consent,
    )


def _is_about(record: PhotographRecord | None, stored: StoredPhotograph) -> bool:
    """Return whether a record is about the present content."""
    return record is not None and record.etag == stored.etag


def _is_first_try(error: ClientError) -> bool:
    """Return whether the SDK has tried a call only once."""
    return error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) == 0


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
