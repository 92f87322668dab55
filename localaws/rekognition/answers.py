"""The structures of which Rekognition's answers are made, with AWS's names."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from localaws.rekognition.analysis import FaceAnalysis
from localaws.rekognition.collections import FACE_MODEL_VERSION, FaceMatch, IndexedFace
from localaws.rekognition.geometry import Box

Structure: TypeAlias = dict[str, Any]

# In the order of ``Face.landmarks``. AWS's left and right are those of the viewer: in the sample
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
    """Return a FaceDetail, or a ComparedFace, with the attributes that are truly computed.

    They are AWS's default attributes, and there are no others.
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
    return structure


def face_matches(matches: Iterable[FaceMatch]) -> list[Structure]:
    """Return a FaceMatchList."""
    return [{"Similarity": m.similarity, "Face": indexed_face(m.face)} for m in matches]
