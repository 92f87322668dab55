"""Points and boxes in an image. The origin is the upper left corner; x points right, y down."""

from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """A position, in pixels or as ratios of the image's width and height."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels or as ratios of the image's width and height.

    It may extend beyond the image, for example when the edge cuts off a face.
    """

    left: float
    top: float
    width: float
    height: float

    def scaled(self, x_factor: float, y_factor: float) -> "Box":
        """Return the box with x coordinates multiplied by one factor, and y by the other."""
        return Box(
            self.left * x_factor,
            self.top * y_factor,
            self.width * x_factor,
            self.height * y_factor,
        )
