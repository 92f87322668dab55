"""Make records and collection say of a photograph what S3 says.

An event from S3 may come late, twice or out of order, so it is only a hint that a key may have
changed. :func:`converge` looks at what is true now, and moves records and faces there. It may be
stopped before or after any call and be called again, by several at once too. The upload handler,
the removal handler and ``POST /create-index`` all call it; nothing else indexes or forgets a face.

How races and crashes end well:

- An attempt writes itself into the photograph's record before the collection hears of it, together
  with the content that it is going to index; but only if no other has begun or ended since it
  looked. It writes what came of it only if that is still the content written down, and nobody has
  done so before. So of two one has to look again. Two that index the same content are given the
  same face by Rekognition.
- A face that an attempt has indexed but could not write down is removed by itself, or, if it was
  stopped, by whoever finds it still written into the record: a later try of the same event (which
  Lambda brings under the same request id), or anyone once it must have ended.
- A run ends with a look at object, record and collection that finds nothing left to do and nobody
  else at work on the photograph. So what one run takes away is seen by another that wanted it.

Where photographs are not kept, the end of a run puts a placeholder where the photograph was, unless
another came there meanwhile, and deletes the versions before. The placeholder carries the ETag of
the photograph, and all that is said here of a photograph holds for it: the face stays while it is
there, and goes with it.
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
from chalicelib.settings import Settings
from chalicelib.storage import (
    PREFIX,
    FaceRecord,
    Operation,
    PhotographRecord,
    Photographs,
    RecordChanged,
    Records,
    StoredPhotograph,
    now,
    person_of,
    stands_for,
)

PATIENCE = 6.0
"""Seconds after which a run that would have to wait for others leaves the rest to a later one."""
TAKE_OVER = 3.0
"""Seconds that it waits for somebody who has begun with the same before it does it too."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two looks."""


class Unsettled(ServiceUnavailable):
    """A photograph kept changing, or others were at work on it: try again later."""


class Outcome(Struct, frozen=True):
    """What a run of :func:`converge` came to."""

    change: Literal["indexed", "rejected", "removed", "unchanged", "missing", "none"]
    person_id: str = ""
    face_id: str = ""
    code: str = ""
    """Of the problem for which a photograph was rejected."""
    detail: str = ""


class Converger:
    """Bucket, table and collection, which are to agree."""

    def __init__(
        self,
        photographs: Photographs,
        records: Records,
        faces: Faces,
        audit: AuditTrail,
        settings: Settings,
    ) -> None:
        """Take them, where what is done is noted, and how long an attempt may last.

        And whether photographs are kept when they have been indexed.
        """
        self.photographs = photographs
        self.records = records
        self.faces = faces
        self.audit = audit
        self.attempt_seconds = settings.attempt_seconds
        self.keep_photographs = settings.keep_photographs

    def converge(self, key: str, attempt: str, *, anew: bool = False) -> Outcome:
        """Make records and collection say of one photograph what S3 says now.

        Args:
            key: the photograph's in S3.
            attempt: an id of this attempt; one that was stopped is gone on with under the same.
            anew: index it even if all seems right already.

        Raises:
            Unsettled: it kept changing meanwhile, or others did not finish with it.
            botocore.exceptions.ClientError: AWS refused a call; trying again goes on from there.
        """
        work = telemetry.current()
        work.person_id = person_of(key)
        outcome = _Run(self, key, attempt, anew=anew).outcome()
        work.outcome, work.code = outcome.change, outcome.code
        return outcome


class _Run:
    """One run of converge."""

    def __init__(self, converger: Converger, key: str, attempt: str, *, anew: bool) -> None:
        self._all = converger
        self._key = key
        self._attempt = attempt
        self._anew = anew
        self._started = time.monotonic()
        self._pause = FIRST_PAUSE
        self._begun = False
        self._outcome: Outcome | None = None
        self._salt: bytes | None = None
        self._indexed: set[str] = set()
        """Faces that this run has indexed and not yet seen in the record."""

    def outcome(self) -> Outcome:
        """Look and act until there is nothing to do."""
        while True:
            stored = self._all.photographs.head(self._key)
            record = self._all.records.photograph(self._key)
            if stored is None and record is None:
                self._all.faces.forget(sorted(self._indexed))
                return self._outcome or Outcome("missing")
            try:
                if record is None or not self._is_done(stored, record):
                    self._act(stored, record)
                elif not self._clear_up(record):
                    if self._others(record):
                        self._wait()
                    elif stored is None:
                        self._all.records.forget(record)
                    elif not self._is_let_go(stored):
                        self._wait()
                    else:
                        return self._outcome or settled_outcome(record)
            except RecordChanged:
                self._wait()
            except ClientError as error:
                # The object went away between our look and Rekognition's.
                if error.response["Error"]["Code"] != "InvalidS3ObjectException":
                    raise
                self._wait()

    def _wait(self) -> None:
        """Give others time to finish."""
        if time.monotonic() - self._started > PATIENCE:
            raise Unsettled("Others are at work on the photograph, or it keeps changing.")
        time.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - not to look all at once
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    # --- looking ---

    def _is_done(self, stored: StoredPhotograph | None, record: PhotographRecord) -> bool:
        """Say whether all has been done for what is stored now, though others may be at work.

        Then a record says of a stored photograph how its indexing ended, and of one that is gone
        that no face is left. What somebody else has just begun to do is waited for, at first.
        """
        if stored is None:
            return record.etag is None and not record.face_ids
        if (self._anew and stored.is_kept) or (record.etag, record.name, record.consent) != (
            stored.etag,
            _name(stored),
            stored.consent,
        ):
            return False
        if stored.is_kept and record.reason == PhotographNotKept.code:
            return False
        if record.status == "registered":
            is_fresh = time.monotonic() - self._started < TAKE_OVER
            return is_fresh and bool(self._others(record)) and not self._begun
        return self._all.faces.present(record.face_ids).issuperset(record.face_ids)

    def _others(self, record: PhotographRecord) -> set[str]:
        """Return the attempts of others that may be running."""
        return set(record.running) - self._ended(record)

    def _ended(self, record: PhotographRecord) -> set[str]:
        """Return the attempts in a record that are over: our own, and those out of time."""
        limit = time.time() - self._all.attempt_seconds
        return {a for a, since in record.running.items() if a == self._attempt or since < limit}

    def _left_behind(self, record: PhotographRecord) -> set[str]:
        """Return the faces that ended attempts may have left in the collection.

        What this run has indexed is known; for attempts that were stopped it has to be searched.
        """
        stopped = self._ended(record) - ({self._attempt} if self._begun else set())
        if not stopped or record.person_id is None:
            return set(self._indexed)
        return self._indexed.union(self._all.faces.of_photograph(self._key, record.person_id))

    # --- acting ---

    def _is_let_go(self, stored: StoredPhotograph) -> bool:
        """Replace a photograph that is not to be kept; say whether it had been before.

        The event of the placeholder brings whoever deletes the photograph, if this run does not.
        """
        if self._all.keep_photographs:
            return True
        if stored.is_kept:
            self._all.photographs.let_go(stored)
            return False
        return self._all.photographs.delete_older(stored)

    def _clear_up(self, record: PhotographRecord) -> bool:
        """Remove what ended attempts have left; say whether there was anything."""
        ended = self._ended(record)
        stray = self._left_behind(record).difference(record.face_ids)
        self._indexed.clear()
        self._all.faces.forget(sorted(stray))
        self._all.records.release(self._key, sorted(ended))
        return bool(stray or ended)

    def _act(self, stored: StoredPhotograph | None, before: PhotographRecord | None) -> None:
        """Index what is stored now, if anything is, and forget the faces of what was before."""
        left_behind = self._left_behind(before) if before else set(self._indexed)
        if self._salt is None:  # asked for now, so that less happens between beginning and end
            self._salt = self._all.audit.salt()
        record = self._all.records.begin(before, self._attempt, stored, self._key)
        self._begun, self._anew = True, False
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
        self._all.faces.forget(outdated)
        if stored is None and not self._others(record):
            self._all.records.forget(record, outdated, self._note(before, settled))
        else:
            note = self._note(before, settled)
            self._all.records.settle(settled, self._attempt, outdated, face, note)
        self._indexed.clear()
        self._outcome = _outcome_of(settled)

    def _note(self, before: PhotographRecord | None, settled: PhotographRecord) -> list[Operation]:
        """Write for the audit trail what this means for the person, if it means anything."""
        if settled.status == "indexed":
            if before is not None and _is_same_registration(before, settled):
                return []
            event: Event = "registered"
        elif before is not None and before.face_ids:
            event = "removed"
        else:
            return []
        assert self._salt is not None
        return [self._all.audit.note(self._salt, event, settled)]

    def _index(
        self, stored: StoredPhotograph, before: PhotographRecord | None, record: PhotographRecord
    ) -> FaceRecord:
        telemetry.current().photograph_bytes = stored.size
        person_id = person_of(stored.key)
        if person_id is None:
            raise InvalidKey(f"Put photographs under {PREFIX}<personId>/, with a valid person id.")
        if not stored.is_kept:
            return replace(self._face_of(stored, before), name=record.name or "")
        if stored.size == 0:
            raise UnsupportedImage("The file is empty.")
        if stored.size > MAX_STORED_BYTES:
            raise ImageTooLarge(f"The file has more than {MAX_STORED_BYTES // 1024**2} MiB.")
        # The very version looked at: what is stored by now may be something else, and again so
        # when it is compared with what has been indexed.
        bucket = self._all.photographs.bucket
        indexed = self._all.faces.index(bucket, stored.key, stored.version_id, person_id)
        self._indexed.add(indexed.face_id)
        return _face_record(record, indexed)

    def _face_of(self, stored: StoredPhotograph, before: PhotographRecord | None) -> FaceRecord:
        """Return the face of a photograph that was not kept.

        Raises:
            PhotographNotKept: it is lost.
        """
        if before is not None and before.etag == stored.etag:
            for face_id in self._all.faces.present(before.face_ids):
                if face := self._all.records.face(face_id):
                    return face
        raise PhotographNotKept("Its face was lost, and it was not kept: register it again.")


def is_settled(record: PhotographRecord, etag: str) -> bool:
    """Say whether a record tells how the indexing of this content ended."""
    if record.status == "registered" or record.etag is None or record.running:
        return False
    if record.etag == etag:
        return record.reason != PhotographNotKept.code
    return stands_for(etag, record.etag)


def settled_outcome(record: PhotographRecord) -> Outcome:
    """Say of a photograph that is as it should be what is to be known of it."""
    outcome = _outcome_of(record)
    return replace(outcome, change="unchanged") if outcome.change == "indexed" else outcome


def _outcome_of(record: PhotographRecord) -> Outcome:
    """Say what came of an attempt."""
    if record.status == "indexed":
        return Outcome("indexed", record.person_id or "", record.face_ids[0])
    if record.status == "rejected":
        return Outcome("rejected", code=record.reason or "", detail=record.detail or "")
    return Outcome("removed")


def _is_same_registration(before: PhotographRecord, settled: PhotographRecord) -> bool:
    """Say whether a photograph that is indexed anew was so before, with the same consent."""
    return (before.status, before.etag, before.consent) == (
        settled.status,
        settled.etag,
        settled.consent,
    )


def _name(stored: StoredPhotograph) -> str | None:
    """Return the name given at the upload, else the person's id."""
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
