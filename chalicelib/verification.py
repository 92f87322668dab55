"""POST /verify: recognise the person in a photograph, or check whether it is a given person."""

from collections.abc import Mapping

from chalicelib import telemetry
from chalicelib.errors import ImageMissing, PersonUnknown, malformed
from chalicelib.faces import Faces, SimilarFace
from chalicelib.messages import Match, Verification, VerifyRequest
from chalicelib.models import FaceRecord, Person, today
from chalicelib.records import Records
from chalicelib.settings import Settings

MAX_FACES = 100
"""Most faces to read the records of: DynamoDB's limit for one call."""
MAX_SEARCHED = 4096
"""Most faces to search for if only one person's faces count: Rekognition's limit for one call."""


def verify(
    request: VerifyRequest, records: Records, faces: Faces, settings: Settings
) -> Verification:
    """Compare the largest face of a photograph with the indexed faces.

    A face without a record does not count: the collection may still hold faces of removed persons.
    If the stage hides unknown persons, a request for an unknown person makes the same calls to AWS
    and gets the same response as one for another person.

    Raises:
        ImageMissing: the request has no photograph.
        MalformedRequest: the threshold is lower than the stage allows.
        NoFace: the photograph shows no face.
        PersonUnknown: nobody is registered under the person id.
    """
    if request.image is None:
        raise ImageMissing("Send the photograph to verify as image, or as the body.")
    work = telemetry.current()
    work.measure(request.image)
    work.person_id = request.person_id
    threshold = settings.face_match_threshold if request.threshold is None else request.threshold
    if settings.hide_unknown_persons and threshold < settings.face_match_threshold:
        # Any two faces are a little similar, so a low threshold would list all registered persons.
        raise malformed("threshold", f"Expected at least {settings.face_match_threshold:g} here")
    limit = MAX_FACES if request.person_id is None else MAX_SEARCHED
    found = faces.search(request.image.data, threshold, limit)
    similar = found.similar
    if request.person_id is not None:
        similar = [face for face in similar if face.person_id == request.person_id][:MAX_FACES]
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
            _note_verified(known[best.face_id], records, settings)
    return Verification(
        verified=best is not None,
        person=Person(best.person_id, best.name) if best else None,
        similarity=best.similarity if best else None,
        threshold=threshold,
        matches=matches,
        face=found.face,
    )


def _note_verified(face: FaceRecord, records: Records, settings: Settings) -> None:
    """Note, once a day, that a person was recognised, if the stage forgets people who are not."""
    if settings.verifications_noted_since is not None and face.verified_on != today():
        records.note_verified(face.person_id, today(), face.face_id)


def _matches(similar: list[SimilarFace], known: Mapping[str, FaceRecord]) -> list[Match]:
    """Return the persons of similar faces, each once, with their most similar face."""
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
