"""Convert the models' numbers to Rekognition's scales, 0 to 100.

AWS does not publish how Rekognition computes its numbers. These scales give values in the ranges
that its users expect. The constants were fitted to photographs of Labeled Faces in the Wild (LFW).
"""

import math
from typing import Final

# LFW has 16.5 million pairs of photographs of different people. One pair in a thousand has a cosine
# of .358 or more, one in ten thousand .415 or more, and 4 in a million .491 or more. With these two
# constants, FaceMatchThreshold 80 is a cosine of .410, 90 is .4305, 95 is .449, and 99 is .491.
_SIMILARITY_STEEPNESS: Final = 39.6
_SIMILARITY_MIDDLE: Final = 0.375

# YuNet's score is .88 to .95 for a clear face and .6 to .8 for a doubtful one. Rekognition gives
# clear faces a confidence above 99. The detector's threshold, .6, becomes a confidence of 50.
_CONFIDENCE_STEEPNESS: Final = 17.0
_CONFIDENCE_MIDDLE: Final = 0.6

# Mean luma of a face, 0 to 255. In LFW, the percentiles 1, 50 and 99 are 71, 125 and 177. This
# curve maps them to 55, 75 and 86. At a tenth of the light, the median of 13 becomes 13.
_BRIGHTNESS_LUMA: Final = 90.0

# Logarithm of the ratio of the Laplacian's variance to the luma's variance. In LFW the median is
# -2.4; after a Gaussian blur of 1, 2 and 3 pixels (with eyes 43 pixels apart) it is -3.4, -4.4 and
# -5.0. These constants map the four values to 65, 35, 6 and 0.
_SHARPNESS_ZERO: Final = -4.6
_SHARPNESS_FULL: Final = -1.2


def similarity(cosine: float) -> float:
    """Return the similarity of two faces, 0 to 100, from the cosine of their vectors."""
    return _percent(_logistic(_SIMILARITY_STEEPNESS * (cosine - _SIMILARITY_MIDDLE)))


def confidence(score: float) -> float:
    """Return the confidence that a detection is a face, 0 to 100, from the detector's score."""
    return _percent(_logistic(_CONFIDENCE_STEEPNESS * (score - _CONFIDENCE_MIDDLE)))


def brightness(luma: float) -> float:
    """Return the brightness of a face, 0 to 100, from its mean luma, 0 to 255."""
    return _percent(1.0 - math.exp(-luma / _BRIGHTNESS_LUMA))


def sharpness(detail: float) -> float:
    """Return the sharpness of a face, 0 to 100.

    Args:
        detail: variance of the Laplacian of the face's luma, divided by the variance of the luma.
    """
    if detail <= 0:
        return 0.0
    return _percent((math.log(detail) - _SHARPNESS_ZERO) / (_SHARPNESS_FULL - _SHARPNESS_ZERO))


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def _percent(ratio: float) -> float:
    return 100.0 * min(max(ratio, 0.0), 1.0)
