"""False accepts and false rejects at a threshold, with confidence bounds.

Pairs of photographs are not independent: each photograph is in many pairs, and some people look
like many others. The variance is therefore that of pairs that depend on each other if they share a
person (Fafchamps and Gubert, 2007). Its ratio to the variance of independent pairs is the design
effect. The number of pairs, divided by the design effect, is the number of effective pairs. For
these, the interval is the exact one of Clopper and Pearson, which also holds with few or no errors
(Korn and Graubard, 1998).
"""

import math
from bisect import bisect_right
from functools import cached_property

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from scipy.stats import beta

CONFIDENCE = 0.95
"""Of each bound, one-sided."""
ENOUGH = 100
"""Errors that suffice to measure the design effect."""
STEP = 0.01
"""Thresholds are recommended in steps of this."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Rate(Struct, frozen=True, rename="camel"):
    """The number of pairs judged wrongly, and bounds of the true rate."""

    errors: int
    pairs: int
    rate: float
    low: float
    high: float


class ErrorRates(Struct, frozen=True, rename="camel"):
    """The error rates at a threshold."""

    threshold: float
    false_accepts: Rate
    """Among pairs of two people."""
    false_rejects: Rate
    """Among pairs of one person."""


class Similarities:
    """The similarities of all pairs of photographs of some people."""

    def __init__(self, people: Integers, similarities: Floats) -> None:
        """Split the pairs into those of one person and those of two.

        Args:
            people: for each photograph, the number of the person, from 0.
            similarities: the symmetric matrix of similarities, 0 to 100.
        """
        first, second = np.triu_indices(len(people), 1)
        same = people[first] == people[second]
        values = similarities[first, second]
        self.genuine = values[same]
        """Similarities of pairs of one person, 0 to 100."""
        self.impostor = values[~same]
        """Similarities of pairs of two people, 0 to 100."""
        self._count = int(people.max()) + 1 if len(people) else 0
        self._whose = people[first][same]
        self._between = people[first][~same], people[second][~same]

    def at(self, threshold: float) -> ErrorRates:
        """Return the error rates at a threshold."""
        accepted = int((self.impostor >= threshold).sum())
        rejected = int((self.genuine < threshold).sum())
        return ErrorRates(
            threshold,
            _rate(accepted, len(self.impostor), self.impostor_design_effect),
            _rate(rejected, len(self.genuine), self.genuine_design_effect),
        )

    def threshold_for(self, wanted: float) -> float | None:
        """Return the lowest threshold at which the false accept rate is surely low enough.

        Args:
            wanted: the upper bound of the false accept rate is at most this.

        Returns:
            The threshold; None where there are too few photographs for any.
        """
        scores = np.sort(self.impostor)[::-1]
        pairs, effect = len(scores), self.impostor_design_effect
        sure = bisect_right(
            range(pairs), wanted, key=lambda errors: _rate(errors, pairs, effect).high
        )
        if not sure:
            return None
        allowed = sure - 1
        # The step above the highest similarity that must not be accepted.
        threshold = (math.floor(scores[allowed] / STEP) + 1) * STEP
        return round(threshold, 2) if threshold <= 100 else None

    @property
    def lowest_rate(self) -> float:
        """The lowest upper bound that these pairs could show, if none of them were accepted."""
        return _rate(0, len(self.impostor), self.impostor_design_effect).high

    @cached_property
    def impostor_design_effect(self) -> float:
        """How many pairs of two people count as one independent pair."""
        wrong = self.impostor >= _score_with_enough_errors(np.sort(self.impostor)[::-1])
        excess = np.zeros((self._count, self._count))
        np.add.at(excess, self._between, wrong - wrong.mean())
        excess += excess.T
        # The sum over persons counts pairs that share one person once, and pairs that share both
        # twice.
        return self._design_effect(
            float((excess.sum(axis=1) ** 2).sum() - (excess**2).sum() / 2), wrong
        )

    @cached_property
    def genuine_design_effect(self) -> float:
        """How many pairs of one person count as one independent pair."""
        wrong = self.genuine <= _score_with_enough_errors(np.sort(self.genuine))
        excess = np.zeros(self._count)
        np.add.at(excess, self._whose, wrong - (wrong.mean() if len(wrong) else 0.0))
        return self._design_effect(float((excess**2).sum()), wrong)

    def _design_effect(self, squares: float, wrong: NDArray[np.bool_]) -> float:
        """Return the ratio of the variance of the number of errors to that of independent pairs."""
        rate = float(wrong.mean()) if len(wrong) else 0.0
        if not 0 < rate < 1:
            return 1.0
        correction = self._count / (self._count - 1)  # the mean comes from the same people
        return max(1.0, correction * squares / (len(wrong) * rate * (1 - rate)))


def _score_with_enough_errors(worst_first: Floats) -> float:
    """Return the score at which there are enough errors to measure the design effect.

    Where there are few pairs, a hundredth of them has to suffice.

    Args:
        worst_first: the scores, sorted from the worst to the best.
    """
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
