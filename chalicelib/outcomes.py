"""How the indexing of a photograph ended, and how its record tells it."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from chalicelib.errors import PhotographNotKept
from chalicelib.models import PhotographRecord
from chalicelib.storage import is_placeholder


class Outcome(Struct, frozen=True):
    """The result of a run."""

    change: Literal["indexed", "rejected", "removed", "unchanged", "missing", "none"]
    person_id: str = ""
    face_id: str = ""
    code: str = ""
    """Code of the problem for which the photograph was rejected."""
    detail: str = ""
    """Text of the same problem."""


def is_settled(record: PhotographRecord, etag: str) -> bool:
    """Return whether a record says how the indexing of the content with ``etag`` ended."""
    if record.status == "registered" or record.etag is None:
        return False
    if record.running or record.is_doubtful:
        return False
    if record.etag == etag:
        return record.reason != PhotographNotKept.code
    return is_placeholder(etag, record.etag)


def settled_outcome(record: PhotographRecord) -> Outcome:
    """Return the outcome of a run that finds a photograph settled."""
    outcome = outcome_of(record)
    return replace(outcome, change="unchanged") if outcome.change == "indexed" else outcome


def outcome_of(record: PhotographRecord) -> Outcome:
    """Return the outcome of the attempt that wrote a record."""
    if record.status == "indexed":
        return Outcome("indexed", record.person_id or "", record.face_ids[0])
    if record.status == "rejected":
        return Outcome("rejected", code=record.reason or "", detail=record.detail or "")
    return Outcome("removed")
