"""Build the structures of Rekognition's answers, with AWS's names."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from localaws.rekognition.analysis import FaceAnalysis
from localaws.rekognition.collections import FACE_MODEL_VERSION
from localaws.rekognition.faces import FaceMatch, IndexedFace
from localaws.rekognition.geometry import Box
from localaws.rekognition.users import UnsuccessfulFace, User, UserMatch

Structure: TypeAlias = dict[str, Any]

# In the order of ``Face.landmarks``. AWS uses left and right as seen by the viewer: in the sample
# answer of the Developer Guide, eyeLeft has the smaller X.
_LANDMARK_TYPES: Final = ("eyeLeft", "eyeRight", "nose", "mouthLeft", "mouthRight")


def bounding_box(box: Box) -> Structure:
    """Return a BoundingBox."""
    return {"Width": box.width, "Height": box.height, "Left": box.left, "Top": box.top}


def compared_source_face(analysis: FaceAnalysis) -> Structure:
    """Return a ComparedSourceImageFace."""
    return {
        "BoundingBox": bounding_box(analysis.bounding_box),
        "Confidence": analysis.confidence,
    }


def face_detail(analysis: FaceAnalysis) -> Structure:
    """Return a FaceDetail or a ComparedFace, with AWS's default attributes.

    Other attributes, such as AgeRange, are missing: the models cannot compute them.
    """
    return {
        "BoundingBox": bounding_box(analysis.bounding_box),
        "Landmarks": [
            {"Type": name, "X": point.x, "Y": point.y}
            for name, point in zip(_LANDMARK_TYPES, analysis.landmarks, strict=True)
        ],
        "Pose": {
            "Roll": analysis.pose.roll,
            "Yaw": analysis.pose.yaw,
            "Pitch": analysis.pose.pitch,
        },
        "Quality": {
            "Brightness": analysis.quality.brightness,
            "Sharpness": analysis.quality.sharpness,
        },
        "Confidence": analysis.confidence,
    }


def indexed_face(face: IndexedFace) -> Structure:
    """Return a Face."""
    structure = {
        "FaceId": face.face_id,
        "BoundingBox": bounding_box(face.bounding_box),
        "ImageId": face.image_id,
        "Confidence": face.confidence,
        "IndexFacesModelVersion": FACE_MODEL_VERSION,
    }
    if face.external_image_id is not None:
        structure["ExternalImageId"] = face.external_image_id
    if face.user_id is not None:
        structure["UserId"] = face.user_id
    return structure


def face_matches(matches: Iterable[FaceMatch]) -> list[Structure]:
    """Return a FaceMatchList."""
    return [{"Similarity": m.similarity, "Face": indexed_face(m.face)} for m in matches]


def user(user: User) -> Structure:
    """Return a User or a MatchedUser."""
    return {"UserId": user.user_id, "UserStatus": user_status(user.has_faces)}


def user_status(has_faces: bool) -> str:
    """Return a UserStatus. AWS's status UPDATING never occurs, because changes are atomic here."""
    return "ACTIVE" if has_faces else "CREATED"


def user_matches(matches: Iterable[UserMatch]) -> list[Structure]:
    """Return a UserMatchList."""
    return [{"Similarity": m.similarity, "User": user(m.user)} for m in matches]


def face_ids(faces: Iterable[IndexedFace]) -> list[Structure]:
    """Return an AssociatedFacesList or a DisassociatedFacesList."""
    return [{"FaceId": face.face_id} for face in faces]


def unsuccessful_faces(faces: Iterable[UnsuccessfulFace]) -> list[Structure]:
    """Return a list of UnsuccessfulFaceAssociation, -Disassociation or -Deletion."""
    structures = []
    for face in faces:
        structure: Structure = {"FaceId": face.face_id, "Reasons": face.reasons}
        if face.user_id is not None:
            structure["UserId"] = face.user_id
        if face.confidence is not None:
            structure["Confidence"] = face.confidence
        structures.append(structure)
    return structures
