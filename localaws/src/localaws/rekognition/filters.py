"""QualityFilter: reject faces of poor quality, and give the reasons."""

from dataclasses import dataclass
from typing import Final

from localaws.rekognition.analysis import FaceAnalysis
from localaws.rekognition.engine import Embedding


@dataclass(frozen=True, slots=True)
class QualityBar:
    """The minimum quality of a face. ``yaw`` is a maximum."""

    side: float
    """Shorter side of the bounding box, in pixels."""
    confidence: float
    """0 to 100."""
    brightness: float
    """0 to 100."""
    sharpness: float
    """0 to 100."""
    yaw: float
    """The largest angle to either side, in degrees."""
    norm: float
    """Length of the vector before normalisation. Of all measures, this predicts best whether a face
    will be recognised. In LFW its percentiles 1, 5 and 50 are 9.2, 10.3 and 12.3."""


# AUTO rejects faces that cannot be recognised. LOW, MEDIUM and HIGH also reject faces that are
# harder to recognise: about 2, 4 and 15 of 100 photographs of LFW.
BARS: Final = {
    "NONE": None,
    "AUTO": QualityBar(side=20, confidence=75, brightness=7, sharpness=3, yaw=80, norm=7.5),
    "LOW": QualityBar(side=24, confidence=80, brightness=12, sharpness=6, yaw=75, norm=9),
    "MEDIUM": QualityBar(side=32, confidence=90, brightness=20, sharpness=12, yaw=65, norm=10),
    "HIGH": QualityBar(side=48, confidence=97, brightness=30, sharpness=20, yaw=50, norm=11),
}


def rejection_reasons(level: str, analysis: FaceAnalysis, embedding: Embedding) -> list[str]:
    """Return AWS's names of the reasons to reject a face; an empty list if it passes.

    Args:
        level: the QualityFilter: NONE, AUTO, LOW, MEDIUM or HIGH.
        analysis: the face.
        embedding: the vector of the face.
    """
    bar = BARS[level]
    if bar is None:
        return []
    box = analysis.face.box
    checks = {
        "SMALL_BOUNDING_BOX": min(box.width, box.height) < bar.side,
        "LOW_CONFIDENCE": analysis.confidence < bar.confidence,
        "LOW_BRIGHTNESS": analysis.quality.brightness < bar.brightness,
        "LOW_SHARPNESS": analysis.quality.sharpness < bar.sharpness,
        "EXTREME_POSE": abs(analysis.pose.yaw) > bar.yaw,
        "LOW_FACE_QUALITY": embedding.norm < bar.norm,
    }
    return [reason for reason, failed in checks.items() if failed]
