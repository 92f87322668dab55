"""POST /register: check that a photograph shows one usable face, and store it."""

from hashlib import sha256
from urllib.parse import quote
from uuid import uuid4

from chalicelib import images, telemetry
from chalicelib.errors import (
    FaceRegisteredToAnotherPerson,
    NoFace,
    PhotographNotKept,
    PoorQuality,
    SeveralFaces,
)
from chalicelib.faces import Faces
from chalicelib.images import Photograph
from chalicelib.messages import Face, Registered, RegisterRequest, malformed
from chalicelib.settings import Settings
from chalicelib.storage import MAX_NAME_BYTES, Photographs, Records, describe, image_key, today

BYSTANDER_SIZE = 1 / 3
"""A face whose side is less than this part of the largest one's belongs to a bystander."""
BYSTANDER_CONFIDENCE = 80.0
"""What is less surely a face than this is no second person."""
MOST_SIMILAR = 100


def register(
    request: RegisterRequest,
    photographs: Photographs,
    records: Records,
    faces: Faces,
    settings: Settings,
    *,
    caller: str | None = None,
    largest: bool = False,
) -> tuple[Registered, bool]:
    """Register a photograph, or allow one to be uploaded.

    Indexing follows by itself, from the event of the stored object. Who the caller is, and which
    text the person agreed to, is kept with the photograph. Of several faces, ``largest`` takes
    that one, as indexing does, instead of refusing the photograph.

    Returns:
        The answer, and whether anything new came of it: False for the same photograph again.

    Raises:
        NoFace, SeveralFaces, PoorQuality: it does not show exactly one usable face.
        FaceRegisteredToAnotherPerson: the face belongs to somebody else already.
    """
    if len(quote(request.name)) > MAX_NAME_BYTES:
        raise malformed(
            "name", "Expected a shorter name: S3 cannot keep this one beside the photograph"
        )
    if request.image is None:
        return _allow_upload(request, photographs, settings, caller), True

    photograph, work = request.image, telemetry.current()
    work.measure(photograph)
    found = faces.detect(photograph.data)
    face = usable_face(found[:1] if largest else found, photograph, settings)
    work.person_id = person_id = request.person_id or _made_up_id(request.name, photograph)
    key = image_key(person_id, photograph.sha256, photograph.media_type)
    answer = Registered(
        person_id=person_id,
        name=request.name,
        image_key=key,
        status="registered",
        face=face,
    )
    _refuse_face_of_another(person_id, photograph, records, faces, settings)
    metadata = describe(request.name, request.consent, caller)
    if photographs.put(key, photograph, metadata, replace=False):
        records.register(key, person_id, request.name, request.consent, caller)
        return answer, True
    record = records.photograph(key)
    consent = request.consent or (record.consent if record else None)
    is_lost = record is not None and record.reason == PhotographNotKept.code
    if record is None or is_lost or (record.name, record.consent) != (request.name, consent):
        metadata = describe(request.name, consent, caller)
        photographs.put(key, photograph, metadata, replace=True)
    elif record.status == "rejected":
        raise PoorQuality(record.detail or "The face could not be indexed.")
    if settings.verifications_noted_since is not None:
        records.note_seen(person_id, today())
    return answer, False


def usable_face(found: list[Face], photograph: Photograph, settings: Settings) -> Face:
    """Take the one face of a photograph by which a person can be recognised later.

    Args:
        found: the faces in it, the largest first.
        photograph: what they were found in.
        settings: how large, light and sharp a face has to be.

    Raises:
        NoFace, SeveralFaces, PoorQuality: there is none, more than one, or no usable one.
    """
    if not found:
        raise NoFace("The photograph shows no face.")
    largest = found[0]
    least = _size(largest, photograph) * BYSTANDER_SIZE
    persons = [
        face
        for face in found
        if face is largest
        or (face.confidence >= BYSTANDER_CONFIDENCE and _size(face, photograph) >= least)
    ]
    if len(persons) > 1:
        raise SeveralFaces(
            f"{len(persons)} faces are in the photograph. Take one with only this person."
        )
    shortcomings = []
    if (size := _size(largest, photograph)) < settings.min_face_size:
        shortcomings.append(
            f"too small ({size:.0f} pixels, at least {settings.min_face_size} are needed)"
        )
    if largest.quality.brightness < settings.min_face_brightness:
        shortcomings.append("too dark")
    if largest.quality.sharpness < settings.min_face_sharpness:
        shortcomings.append("too blurred")
    if shortcomings:
        raise PoorQuality(f"The face is {' and '.join(shortcomings)}.")
    return largest


def _size(face: Face, photograph: Photograph) -> float:
    """Return the mean side of a face in pixels; a rotation by EXIF does not change it."""
    box = face.bounding_box
    return float((box.width * box.height * photograph.width * photograph.height) ** 0.5)


def _made_up_id(name: str, photograph: Photograph) -> str:
    """Make an id that a client which has to ask again gets again."""
    return sha256(f"{name}\n{photograph.sha256}".encode()).hexdigest()[:32]


def _refuse_face_of_another(
    person_id: str, photograph: Photograph, records: Records, faces: Faces, settings: Settings
) -> None:
    """Make sure that a face is not registered to anybody else.

    Raises:
        FaceRegisteredToAnotherPerson: it is.
    """
    if not settings.duplicate_face_threshold:
        return
    found = faces.search(photograph.data, settings.duplicate_face_threshold, MOST_SIMILAR)
    others = [face for face in found.similar if face.person_id != person_id]
    known = records.faces(face.face_id for face in others) if others else {}
    for face in others:
        if face.face_id in known:  # and not just what the collection still holds of somebody
            raise FaceRegisteredToAnotherPerson(
                "This face is registered to another person. To add a photograph of that person,"
                " send their personId.",
                person_id=None if settings.hide_unknown_persons else face.person_id,
            )


def _allow_upload(
    request: RegisterRequest, photographs: Photographs, settings: Settings, caller: str | None
) -> Registered:
    person_id = request.person_id or uuid4().hex
    media_type = request.content_type or images.JPEG
    key = image_key(person_id, uuid4().hex, media_type)
    return Registered(
        person_id=person_id,
        name=request.name,
        image_key=key,
        status="registered",
        upload=photographs.presign_upload(
            key,
            media_type,
            describe(request.name, request.consent, caller),
            settings.upload_expires_in,
        ),
    )
