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
    malformed,
)
from chalicelib.faces import Faces
from chalicelib.images import Photograph
from chalicelib.keys import image_key
from chalicelib.messages import Registered, RegisterRequest
from chalicelib.models import Face, today
from chalicelib.records import Records
from chalicelib.settings import Settings
from chalicelib.storage import MAX_NAME_BYTES, Photographs, object_metadata

BYSTANDER_SIZE = 1 / 3
"""A face belongs to a bystander if its side is shorter than this part of the largest face's."""
BYSTANDER_CONFIDENCE = 80.0
"""A detection below this confidence does not count as a second person."""
MAX_SIMILAR = 100
"""Most similar faces to check for another person's."""


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
    """Register a photograph, or return an address to upload one.

    The photograph is stored with the name, the consent and the caller. The event of the stored
    object indexes it.

    Args:
        request: the person, and the photograph if there is one.
        photographs: where to store the photograph.
        records: where to record it.
        faces: the collection, to check for the same face of another person.
        settings: hold the rules for a usable face.
        caller: who registers the photograph.
        largest: of several faces, use the largest instead of refusing the photograph.

    Returns:
        The response, and whether the registration is new. It is not new if the same photograph of
        the same person is registered already.

    Raises:
        MalformedRequest: the name is too long for S3.
        NoFace, SeveralFaces, PoorQuality: the photograph does not show exactly one usable face.
        FaceRegisteredToAnotherPerson: the face is registered to another person.
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
    work.person_id = person_id = request.person_id or _new_person_id(request.name, photograph)
    key = image_key(person_id, photograph.sha256, photograph.media_type)
    response = Registered(
        person_id=person_id,
        name=request.name,
        image_key=key,
        status="registered",
        face=face,
    )
    _refuse_face_of_another(person_id, photograph, records, faces, settings)
    metadata = object_metadata(request.name, request.consent, caller)
    if photographs.put(key, photograph, metadata, replace=False):
        records.add_registered(key, person_id, request.name, request.consent, caller)
        return response, True
    record = records.photograph(key)
    consent = request.consent or (record.consent if record else None)
    is_lost = record is not None and record.reason == PhotographNotKept.code
    if record is None or is_lost or (record.name, record.consent) != (request.name, consent):
        metadata = object_metadata(request.name, consent, caller)
        photographs.put(key, photograph, metadata, replace=True)
    elif record.status == "rejected":
        raise PoorQuality(record.detail or "The face could not be indexed.")
    if settings.verifications_noted_since is not None:
        records.note_verified(person_id, today())
    return response, False


def usable_face(found: list[Face], photograph: Photograph, settings: Settings) -> Face:
    """Return the face of the only person in a photograph, if it is good enough for recognition.

    Args:
        found: the faces in the photograph, the largest first.
        photograph: the photograph.
        settings: hold the smallest size, brightness and sharpness.

    Raises:
        NoFace: there is no face.
        SeveralFaces: there is more than one person.
        PoorQuality: the face is too small, too dark or too blurred.
    """
    if not found:
        raise NoFace("The photograph shows no face.")
    largest = found[0]
    min_size = _size(largest, photograph) * BYSTANDER_SIZE
    persons = [
        face
        for face in found
        if face is largest
        or (face.confidence >= BYSTANDER_CONFIDENCE and _size(face, photograph) >= min_size)
    ]
    if len(persons) > 1:
        raise SeveralFaces(
            f"The photograph shows {len(persons)} faces. Take one with only this person."
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
    """Return the mean side of a face in pixels; the EXIF rotation of the image does not matter."""
    box = face.bounding_box
    return float((box.width * box.height * photograph.width * photograph.height) ** 0.5)


def _new_person_id(name: str, photograph: Photograph) -> str:
    """Return a new person id: the same one for a client that repeats its request."""
    return sha256(f"{name}\n{photograph.sha256}".encode()).hexdigest()[:32]


def _refuse_face_of_another(
    person_id: str, photograph: Photograph, records: Records, faces: Faces, settings: Settings
) -> None:
    """Raise FaceRegisteredToAnotherPerson if the face is registered to another person."""
    if not settings.duplicate_face_threshold:
        return
    found = faces.search(photograph.data, settings.duplicate_face_threshold, MAX_SIMILAR)
    others = [face for face in found.similar if face.person_id != person_id]
    known = records.faces(face.face_id for face in others) if others else {}
    for face in others:
        if face.face_id in known:  # without a record, the face is a remnant of a removed person
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
            object_metadata(request.name, request.consent, caller),
            settings.upload_expires_in,
        ),
    )
