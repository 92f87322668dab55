"""How commands speak: tables and a progress bar for people, JSON for programs.

Answers go to standard output, all else to standard error, so that an answer can be piped on.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from facial_recognition.cli.registering import Progress

UTC = "(UTC)"
"""Ends the headings of moments."""
_UNLIMITED = 10_000


class Display:
    """The terminal, or a pipe."""

    def __init__(self, *, as_json: bool) -> None:
        """Take whether the answer is to be JSON."""
        self.as_json = as_json
        # What photographs and people are called is no markup. A pipe has no width to fit into.
        width = None if sys.stdout.isatty() else _UNLIMITED
        self._out = Console(markup=False, highlight=False, emoji=False, width=width)
        self._error = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def json(self, answer: Any) -> None:
        """Print an answer as JSON, on one line."""
        print(msgspec.json.encode(answer).decode())

    def say(self, text: str) -> None:
        """Print a line of an answer."""
        self._out.print(printable(text), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table; moments are not broken into lines."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold", no_wrap=heading.endswith(UTC))
        for row in rows:
            table.add_row(*(printable("" if cell is None else str(cell)) for cell in row))
        self._out.print(table)

    def ask(self, question: str) -> None:
        """Print a question, which is no part of the answer."""
        print(printable(question), end="", file=sys.stderr, flush=True)

    def error(self, code: str, detail: str) -> None:
        """Print what went wrong, on one line of standard error."""
        line = " ".join(detail.split())
        if self.as_json:
            error = {"code": code, "detail": printable(line)}
            line = json.dumps({"error": error}, ensure_ascii=False)
        else:
            line = f"error: {printable(line)}"
        print(line, file=sys.stderr)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show a bar for each phase of a long piece of work, where somebody looks."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        hidden = self.as_json or not self._error.is_terminal
        with Bar(*columns, console=self._error, disable=hidden) as bar:
            phases: list[TaskID] = []

            def begin(phase: str, total: int) -> None:
                phases.append(bar.add_task(phase, total=total))

            def advance(count: int) -> None:
                bar.advance(phases[-1], count)

            yield Progress(begin, advance)


def moment(written: str | None) -> str:
    """Write a moment, ISO 8601 in UTC, as a person reads it, to the minute."""
    return (written or "")[:16].replace("T", " ")


def printable(text: str) -> str:
    """Replace what would move the cursor, or worse: keys may hold any character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
