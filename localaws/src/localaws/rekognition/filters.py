"""QualityFilter: which faces are too poor to be indexed or searched for, and why."""

from dataclasses import dataclass
from typing import Final

from localaws.rekognition.analysis import FaceAnalysis
from localaws.rekognition.engine import Embedding


@dataclass(frozen=True, slots=True)
class QualityBar:
    """The least that a face must reach, and the most that it may be turned."""

    side: float
    """Shorter side of the bounding box, in pixels."""
    confidence: float
    brightness: float
    sharpness: float
    yaw: float
    norm: float
    """Length of the vector before it was made 1: of all measures, the one that best foretells
    whether a face will be recognised. In LFW its percentiles 1, 5 and 50 are 9.2, 10.3 and 12.3."""


# AUTO refuses what cannot be recognised; LOW, MEDIUM and HIGH refuse ever more of what can, though
# less surely: about 2, 4 and 15 of 100 photographs of LFW.
BARS: Final = {
    "NONE": None,
    "AUTO": QualityBar(side=20, confidence=75, brightness=7, sharpness=3, yaw=80, norm=7.5),
    "LOW": QualityBar(side=24, confidence=80, brightness=12, sharpness=6, yaw=75, norm=9),
    "MEDIUM": QualityBar(side=32, confidence=90, brightness=20, sharpness=12, yaw=65, norm=10),
    "HIGH": QualityBar(side=48, confidence=97, brightness=30, sharpness=20, yaw=50, norm=11),
}


def reasons(level: str, analysis: FaceAnalysis, embedding: Embedding) -> list[str]:
    """Return why a face falls below a quality bar, in AWS's words; an empty list if it does not.

    Args:
        level: a QualityFilter: NONE, AUTO, LOW, MEDIUM or HIGH.
        analysis: the face.
        embedding: its vector.
    """
    bar = BARS[level]
    if bar is None:
        return []
    box = analysis.face.box
    shortfalls = {
        "SMALL_BOUNDING_BOX": min(box.width, box.height) < bar.side,
        "LOW_CONFIDENCE": analysis.confidence < bar.confidence,
        "LOW_BRIGHTNESS": analysis.quality.brightness < bar.brightness,
        "LOW_SHARPNESS": analysis.quality.sharpness < bar.sharpness,
        "EXTREME_POSE": abs(analysis.pose.yaw) > bar.yaw,
        "LOW_FACE_QUALITY": embedding.norm < bar.norm,
    }
    return [reason for reason, short in shortfalls.items() if short]
