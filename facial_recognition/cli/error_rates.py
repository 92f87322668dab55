"""False accepts and false rejects at a threshold, and how sure they are.

Pairs of photographs are not independent: each photograph is in many of them, and some people look
like many others. So the variance is that of pairs which depend on each other where they share a
person (Fafchamps and Gubert, 2007); compared with that of independent pairs, it gives the design
effect, by which the pairs count for fewer than they are. With so many effective pairs the interval
is the exact one of Clopper and Pearson, which stays true where few or no errors were seen (Korn and
Graubard, 1998).
"""

import math
from bisect import bisect_right
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import beta

CONFIDENCE = 0.95
"""Of each of the bounds, one-sided."""
ENOUGH = 100
"""Errors from which on the design effect is measured well."""
STEP = 0.01
"""Thresholds are recommended in steps of this."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Rate(Struct, frozen=True, rename="camel"):
    """How many of some pairs were judged wrongly, with the bounds of the true rate."""

    errors: int
    pairs: int
    rate: float
    low: float
    high: float


class ErrorRates(Struct, frozen=True, rename="camel"):
    """What happens at a threshold."""

    threshold: float
    false_accepts: Rate
    """Of pairs of two people."""
    false_rejects: Rate
    """Of pairs of one person."""


class Similarities:
    """The similarities of all pairs of photographs of some people."""

    def __init__(self, people: Integers, similarities: Floats) -> None:
        """Take the number of the person on each photograph, and the matrix of similarities."""
        first, second = np.triu_indices(len(people), 1)
        same = people[first] == people[second]
        values = similarities[first, second]
        self.genuine = values[same]
        """Similarities, 0 to 100, of pairs of one person."""
        self.impostor = values[~same]
        """Of pairs of two people."""
        self._count = int(people.max()) + 1 if len(people) else 0
        self._whose = people[first][same]
        self._between = people[first][~same], people[second][~same]

    def at(self, threshold: float) -> ErrorRates:
        """Measure the error rates at a threshold."""
        accepted = int((self.impostor >= threshold).sum())
        rejected = int((self.genuine < threshold).sum())
        return ErrorRates(
            threshold,
            _rate(accepted, len(self.impostor), self.impostor_design_effect),
            _rate(rejected, len(self.genuine), self.genuine_design_effect),
        )

    def threshold_for(self, wanted: float) -> float | None:
        """Find the lowest threshold whose false accept rate is at most ``wanted``, for sure.

        Returns:
            It, or None where there are too few photographs to be sure of any.
        """
        scores = np.sort(self.impostor)[::-1]
        pairs, effect = len(scores), self.impostor_design_effect
        sure = bisect_right(
            range(pairs), wanted, key=lambda errors: _rate(errors, pairs, effect).high
        )
        if not sure:
            return None
        allowed = sure - 1
        # Just above the highest of those that must not be accepted.
        threshold = (math.floor(scores[allowed] / STEP) + 1) * STEP
        return round(threshold, 2) if threshold <= 100 else None

    @property
    def lowest_rate(self) -> float:
        """The lowest false accept rate that these pairs could show: none was accepted."""
        return _rate(0, len(self.impostor), self.impostor_design_effect).high

    @cached_property
    def impostor_design_effect(self) -> float:
        """For how many pairs of two people one that is independent counts."""
        wrong = self.impostor >= _where_errors_are_enough(np.sort(self.impostor)[::-1])
        excess = np.zeros((self._count, self._count))
        np.add.at(excess, self._between, wrong - wrong.mean())
        excess += excess.T
        # Whatever two pairs of people have in common, they have by one of the persons, or by both.
        return self._design_effect(
            float((excess.sum(axis=1) ** 2).sum() - (excess**2).sum() / 2), wrong
        )

    @cached_property
    def genuine_design_effect(self) -> float:
        """For how many pairs of one person one that is independent counts."""
        wrong = self.genuine <= _where_errors_are_enough(np.sort(self.genuine))
        excess = np.zeros(self._count)
        np.add.at(excess, self._whose, wrong - (wrong.mean() if len(wrong) else 0.0))
        return self._design_effect(float((excess**2).sum()), wrong)

    def _design_effect(self, squares: float, wrong: NDArray[np.bool_]) -> float:
        """Compare the variance of the number of errors with that of independent pairs."""
        rate = float(wrong.mean()) if len(wrong) else 0.0
        if not 0 < rate < 1:
            return 1.0
        few = self._count / (self._count - 1)  # the mean was found from the same people
        return max(1.0, few * squares / (len(wrong) * rate * (1 - rate)))


def _where_errors_are_enough(worst_first: Floats) -> float:
    """Return a score at which there are errors enough, or else a hundredth of all pairs."""
    if not len(worst_first):
        return 0.0
    errors = min(ENOUGH, max(1, len(worst_first) // 100))
    return float(worst_first[errors - 1])


def _rate(errors: int, pairs: int, design_effect: float) -> Rate:
    if not pairs:
        return Rate(0, 0, 0.0, 0.0, 1.0)
    wrong, right = errors / design_effect, (pairs - errors) / design_effect
    low = float(beta.ppf(1 - CONFIDENCE, wrong, right + 1)) if errors else 0.0
    high = float(beta.ppf(CONFIDENCE, wrong + 1, right)) if right else 1.0
    return Rate(errors, pairs, errors / pairs, low, high)
