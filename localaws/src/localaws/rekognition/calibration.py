"""The models' own numbers on Rekognition's scales, 0 to 100.

What Rekognition computes is not published. These scales put the numbers where its users expect
them; the constants were fitted to photographs of Labeled Faces in the Wild (LFW).
"""

import math
from typing import Final

# Of 16.5 million pairs of photographs of different people in LFW, one in a thousand has a cosine of
# .358 or more, one in ten thousand .415, and 4 in a million .491. With these two constants,
# FaceMatchThreshold 80 is a cosine of .410, 90 is .4305, 95 is .449, and 99 is .491.
_SIMILARITY_STEEPNESS: Final = 39.6
_SIMILARITY_MIDDLE: Final = 0.375

# YuNet's score of a plain face is .88 to .95, and of a doubtful one .6 to .8. Rekognition gives the
# former above 99; at the score where the detector begins to report, it is even odds.
_CONFIDENCE_STEEPNESS: Final = 17.0
_CONFIDENCE_MIDDLE: Final = 0.6

# Mean luma of a face, 0 to 255: in LFW, the percentiles 1, 50 and 99 are 71, 125 and 177, which
# this curve makes 55, 75 and 86. At a tenth of the light the median is 13, which becomes 13.
_BRIGHTNESS_LUMA: Final = 90.0

# Logarithm of the Laplacian's variance over the luma's: in LFW the median is -2.4, and after a
# Gaussian blur of 1, 2 and 3 pixels (eyes 43 apart) -3.4, -4.4 and -5.0. Here 65, 35, 6 and 0.
_SHARPNESS_ZERO: Final = -4.6
_SHARPNESS_FULL: Final = -1.2


def similarity(cosine: float) -> float:
    """Return how alike two faces are, 0 to 100, from the cosine of their vectors."""
    return _percent(_logistic(_SIMILARITY_STEEPNESS * (cosine - _SIMILARITY_MIDDLE)))


def confidence(score: float) -> float:
    """Return how surely something is a face, 0 to 100, from the detector's score."""
    return _percent(_logistic(_CONFIDENCE_STEEPNESS * (score - _CONFIDENCE_MIDDLE)))


def brightness(luma: float) -> float:
    """Return the brightness of a face, 0 to 100, from its mean luma, 0 to 255."""
    return _percent(1.0 - math.exp(-luma / _BRIGHTNESS_LUMA))


def sharpness(detail: float) -> float:
    """Return the sharpness of a face, 0 to 100.

    Args:
        detail: variance of the Laplacian of its luma, over the variance of the luma itself.
    """
    if detail <= 0:
        return 0.0
    return _percent((math.log(detail) - _SHARPNESS_ZERO) / (_SHARPNESS_FULL - _SHARPNESS_ZERO))


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def _percent(ratio: float) -> float:
    return 100.0 * min(max(ratio, 0.0), 1.0)
