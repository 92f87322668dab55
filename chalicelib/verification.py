"""POST /verify: whose face is this, or is it this person's."""

from collections.abc import Mapping

from chalicelib import telemetry
from chalicelib.errors import ImageMissing, PersonUnknown
from chalicelib.faces import Faces, SimilarFace
from chalicelib.messages import Match, Person, Verification, VerifyRequest, malformed
from chalicelib.settings import Settings
from chalicelib.storage import FaceRecord, Records, today

MOST_FACES = 100
"""Faces looked at: as many as DynamoDB reads at once."""
MOST_SEARCHED = 4096
"""Faces searched for where only one person's are looked at: as many as Rekognition gives."""


def verify(
    request: VerifyRequest, records: Records, faces: Faces, settings: Settings
) -> Verification:
    """Compare the largest face of a photograph with those that are indexed.

    A face counts only while its record is there, so that a person who has been removed is not
    named from what the collection may still hold. Where unknown persons are hidden, asking for
    one takes the same calls to AWS as asking for somebody else, and reads the same.

    Raises:
        ImageMissing: the request has no photograph.
        MalformedRequest: its threshold is lower than this stage allows.
        NoFace: the photograph shows none.
        PersonUnknown: nobody is registered under the person id asked for.
    """
    if request.image is None:
        raise ImageMissing("Send the photograph to verify as image, or as the body.")
    work = telemetry.current()
    work.measure(request.image)
    work.person_id = request.person_id
    threshold = settings.face_match_threshold if request.threshold is None else request.threshold
    if settings.hide_unknown_persons and threshold < settings.face_match_threshold:
        # Any face resembles anybody's a little, so a low threshold would list who is registered.
        raise malformed("threshold", f"Expected at least {settings.face_match_threshold:g} here")
    most = MOST_FACES if request.person_id is None else MOST_SEARCHED
    found = faces.search(request.image.data, threshold, most)
    similar = found.similar
    if request.person_id is not None:
        similar = [face for face in similar if face.person_id == request.person_id][:MOST_FACES]
        if (
            not similar
            and not settings.hide_unknown_persons
            and not records.is_registered(request.person_id)
        ):
            raise PersonUnknown("Nobody is registered under this personId.")
    known = records.faces(face.face_id for face in similar) if similar else {}
    matches = _matches(similar, known)[: request.max_matches]
    best = matches[0] if matches else None
    work.outcome = "verified" if best else "not_verified"
    if best:
        work.person_id, work.similarity = best.person_id, best.similarity
        if best.similarity >= settings.face_match_threshold:
            _note(known[best.face_id], records, settings)
    return Verification(
        verified=best is not None,
        person=Person(best.person_id, best.name) if best else None,
        similarity=best.similarity if best else None,
        threshold=threshold,
        matches=matches,
        face=found.face,
    )


def _note(face: FaceRecord, records: Records, settings: Settings) -> None:
    """Record, once a day, that a person was recognised, where persons are forgotten otherwise."""
    if settings.verifications_noted_since is not None and face.verified_on != today():
        records.note_seen(face.person_id, today(), face.face_id)


def _matches(similar: list[SimilarFace], known: Mapping[str, FaceRecord]) -> list[Match]:
    """Name the persons of similar faces, each once, by their most similar face."""
    matches: dict[str, Match] = {}
    for face in similar:
        record = known.get(face.face_id)
        if record is not None and record.person_id not in matches:
            matches[record.person_id] = Match(
                person_id=record.person_id,
                name=record.name,
                similarity=face.similarity,
                face_id=face.face_id,
                image_key=record.image_key,
            )
    return list(matches.values())
