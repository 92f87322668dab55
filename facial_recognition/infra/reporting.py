"""How a deploy tells the operator how far it has come."""

from collections.abc import Callable
from dataclasses import dataclass

Report = Callable[[str], None]
"""Tells the operator one line."""


@dataclass(frozen=True)
class Reporter:
    """The functions that show a deploy's progress; the command line provides them."""

    step: Report
    """Called with the name of each step when it starts."""
    report: Report
    """Called with each line about the current step."""
