"""Points and boxes in an image. The origin is the upper left corner; x grows right, y down."""

from dataclasses import dataclass
from typing import NamedTuple


class Point(NamedTuple):
    """A position, in pixels or as ratios of the image's width and height."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in pixels or as ratios of the image's width and height.

    Parts of it may lie outside the image, as those of a face cut off by the edge do.
    """

    left: float
    top: float
    width: float
    height: float

    def scaled(self, x_factor: float, y_factor: float) -> "Box":
        """Return the box with its coordinates multiplied."""
        return Box(
            self.left * x_factor,
            self.top * y_factor,
            self.width * x_factor,
            self.height * y_factor,
        )
