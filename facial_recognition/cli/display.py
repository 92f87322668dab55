"""The output of commands: tables and a progress bar for people, JSON for programs.

Answers go to standard output and everything else to standard error, so that an answer can be piped.
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

from facial_recognition.cli.errors import CannotDo
from facial_recognition.cli.reporting import Failure, Progress

UTC = "(UTC)"
"""Ends the headings of columns with moments."""
_UNLIMITED = 10_000


class Display:
    """The terminal or the pipe that a command writes to."""

    def __init__(self, *, as_json: bool) -> None:
        """Prepare the output.

        Args:
            as_json: whether the answer is JSON.
        """
        self.as_json = as_json
        # The names of photographs and people are not markup. A pipe has no width to fit into.
        width = None if sys.stdout.isatty() else _UNLIMITED
        self._out = Console(markup=False, highlight=False, emoji=False, width=width)
        self._error = Console(stderr=True, markup=False, highlight=False, emoji=False)

    def json(self, answer: Any) -> None:
        """Print an answer as JSON, on one line."""
        print(msgspec.json.encode(answer).decode())

    def say(self, text: str) -> None:
        """Print a line of an answer."""
        self._out.print(printable(text), soft_wrap=True)

    def step(self, name: str) -> None:
        """Print the name of a step of the work, below an empty line."""
        self.say("")
        self.say(name)

    def detail(self, line: str) -> None:
        """Print an indented line about the current step."""
        self.say(f"  {line}")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table; moments stay on one line."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold", no_wrap=heading.endswith(UTC))
        for row in rows:
            table.add_row(*(printable("" if cell is None else str(cell)) for cell in row))
        self._out.print(table)

    def failures(self, failures: Iterable[Failure]) -> None:
        """Print a line for each photograph that failed."""
        for failure in failures:
            self.say(f"{failure.photograph}: {failure.detail} ({failure.code})")

    def ask(self, question: str) -> str | None:
        """Ask the operator a question and return the line that they type.

        Returns:
            The line; None where nobody can answer, because a program runs the command.
        """
        if self.as_json or not sys.stdin.isatty():
            return None
        print(printable(question), end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()

    def confirm(self, question: str) -> None:
        """Ask the operator to confirm.

        Raises:
            CannotDo: they do not, or nobody can answer.
        """
        answer = self.ask(f"{question} [y/N] ")
        if answer is None:
            raise CannotDo(f"{question} Nobody can confirm here: add --yes.", "not_confirmed")
        if answer.lower() not in ("y", "yes"):
            raise CannotDo("Nothing was changed.", "not_confirmed")

    def error(self, code: str, detail: str) -> None:
        """Print an error, on one line of standard error."""
        line = " ".join(detail.split())
        if self.as_json:
            error = {"code": code, "detail": printable(line)}
            line = json.dumps({"error": error}, ensure_ascii=False)
        else:
            line = f"error: {printable(line)}"
        print(line, file=sys.stderr)

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Show a progress bar for each phase of a long command, if standard error is a terminal."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        hidden = self.as_json or not self._error.is_terminal
        with Bar(*columns, console=self._error, disable=hidden) as bar:
            phases: list[TaskID] = []

            def start(phase: str, total: int) -> None:
                phases.append(bar.add_task(phase, total=total))

            def advance(count: int) -> None:
                bar.advance(phases[-1], count)

            yield Progress(start, advance)


def moment(written: str | None) -> str:
    """Format a moment for people, to the minute.

    Args:
        written: ISO 8601 in UTC; None becomes an empty text.
    """
    return (written or "")[:16].replace("T", " ")


def printable(text: str) -> str:
    """Replace control characters, which could move the cursor: keys may hold any character."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
