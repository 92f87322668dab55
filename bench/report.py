"""Run all benchmarks on this machine, and write ``docs/benchmarks.md`` with tables and plots.

    python -m bench.report --photos DIR          (DIR holds a folder per person)
    python -m bench.report --photos DIR --only speed --only search

Each section names the command that gives its numbers again. One that is not run stays as it is.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.photos import people_folder
from bench.tables import KEPT_IN
from localaws.rekognition.engine import OpenVINOEngine
from localaws.rekognition.images import decode

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
HEADER = """# Benchmarks

What is compared was measured in turns in one run: trust the ratios more than the times.

All of it again: `make bench PHOTOS=DIR`, where DIR holds a folder per person."""
PHOTOS = "PHOTOS"
"""Stands for the folder of photographs in a section's command."""

PHOTO = "PHOTO"
"""Stands for one of these photographs."""

Table = list[list[str]]
Plot = Callable[[Axes, dict[str, Table]], None]


@dataclass(frozen=True)
class Section:
    """One benchmark: what it tells, and how it is run and drawn."""

    name: str
    title: str
    about: str
    command: tuple[str, ...]
    """Module and options."""
    plot: Plot | None = None


def numbers(table: Table, column: int) -> list[float]:
    """Return a column of a table, from which units and remarks are taken."""
    return [float(row[column].split()[0].lstrip("<")) for row in table[1:]]


def labels(table: Table) -> list[str]:
    """Return what the rows of a table are called."""
    return [row[0] for row in table[1:]]


def bars(name: str, column: int, axis: str) -> Plot:
    """Draw a column of a table as bars, one below the other."""

    def draw(axes: Axes, tables: dict[str, Table]) -> None:
        table = tables[name]
        axes.barh(labels(table)[::-1], numbers(table, column)[::-1], color="#2f6f8f")
        axes.set_xlabel(axis)

    return draw


def calibration(axes: Axes, tables: dict[str, Table]) -> None:
    """Draw which share of pairs each threshold accepts."""
    table = tables["calibration"]
    thresholds = numbers(table, 0)
    axes.plot(thresholds, numbers(table, 1), label="pairs of one person", color="#2f6f8f")
    false = [(t, rate) for t, rate in zip(thresholds, numbers(table, 2), strict=True) if rate]
    axes.plot(*zip(*false, strict=True), label="pairs of two people", color="#c2562d")
    axes.set_yscale("log")
    axes.set_xlabel("threshold")
    axes.set_ylabel("share accepted")
    axes.legend()


def growth(axes: Axes, tables: dict[str, Table]) -> None:
    """Draw how the time of a search grows with the index."""
    table = tables["search"]
    for column in (1, 2, 3):
        axes.plot(labels(table), numbers(table, column), marker="o", label=table[0][column])
    axes.set_yscale("log")
    axes.set_xlabel("vectors in the index")
    axes.set_ylabel("ms")
    axes.legend()


SECTIONS = [
    Section(
        "accuracy",
        "Who is recognised, end to end",
        "One photograph of each person is put into S3, all others are verified over HTTP at the"
        " default threshold; people of whom there is one photograph are strangers.",
        ("bench.accuracy", "--photos", PHOTOS),
    ),
    Section(
        "calibration",
        "Accuracy and calibration of the local Rekognition",
        "All pairs of photographs, and one photograph of each person against all others.",
        ("bench.faces", "--photos", PHOTOS, "--only", "accuracy"),
        calibration,
    ),
    Section(
        "speed",
        "Speed of the face engine",
        "Beside OpenCV's own classes with the same models, and beside face_recognition.",
        ("bench.faces", "--photos", PHOTOS, "--only", "speed", "--only", "large"),
        bars("speed", 1, "faces per second"),
    ),
    Section(
        "search",
        "Growth of a search with the collection",
        "Beside faiss's exact index, and beside reading all vectors once, which is the limit.",
        ("bench.faces", "--photos", PHOTOS, "--only", "search", "--only", "memory"),
        growth,
    ),
    Section(
        "bulk",
        "Registration in bulk",
        "Uploads to S3 while Rekognition is throttled, and /create-index of what was there before,"
        " beside IndexFaces alone on the same machine, which is the limit.",
        ("bench.load", "--photos", PHOTOS, "--uploads", "500", "--existing", "1000"),
        bars("bulk", 1, "photographs per second"),
    ),
    Section(
        "overhead",
        "What /verify adds to its calls to AWS",
        "Beside a bare Chalice route that reads the same body; 1.5 times that is the limit.",
        ("bench.overhead",),
        bars("overhead", 4, "times the bare route"),
    ),
    Section(
        "coldstart",
        "Cold start",
        "The deployed package in a fresh process, beside a bare Chalice application that imports"
        " the same libraries; 1.15 times that is the limit. Then the first verify, beside later.",
        ("bench.coldstart", "--photo", PHOTO),
        bars("import", 1, "ms to import the handler"),
    ),
    Section(
        "pages",
        "From the click to the answer",
        "The page to verify in Chromium, with a camera that shows a photograph.",
        ("bench.pages", "--photo", PHOTO),
        bars("pages", 1, "ms"),
    ),
]


def main() -> int:
    """Run the sections that are wanted, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=people_folder, required=True, help="a folder per person")
    names = [section.name for section in SECTIONS]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    options = parser.parse_args()
    wanted = [s for s in SECTIONS if not options.only or s.name in options.only]
    mpl.use("svg")
    # So that the same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 10})
    PLOTS.mkdir(parents=True, exist_ok=True)
    parts = _parts()
    machine = _machine(options.photos)
    for section in wanted:
        print(f"{section.name} ...", flush=True)
        parts[section.title] = _run(section, options.photos, machine)
    page = [HEADER, *(parts[s.title] for s in SECTIONS if s.title in parts)]
    PAGE.write_text("\n\n".join(page) + "\n")
    print(f"written: {PAGE}")
    return 0


def _parts() -> dict[str, str]:
    """Read the page's sections, by their titles."""
    text = PAGE.read_text() if PAGE.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.strip() for part in parts}


def _machine(photos: Path) -> str:
    """Say when and on what this is measured."""
    people = [folder for folder in photos.iterdir() if folder.is_dir()]
    count = sum(1 for folder in people for _ in folder.glob("*.[jp][pn]g"))
    processor = _processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {processor}, {os.cpu_count()} processors,"
        f" {memory:.0f} GiB, {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}; {count} photographs of {len(people)} people."
    )


def _processor() -> str:
    """Return what the processor is called, where the system says it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _run(section: Section, photos: Path, machine: str) -> str:
    """Run one benchmark, draw its plot, and return its part of the page."""
    stands_for = {PHOTOS: str(photos), PHOTO: str(one_person(photos))}
    arguments = [stands_for.get(part, part) for part in section.command]
    with tempfile.TemporaryDirectory() as kept:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, KEPT_IN: kept},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            print(f"  ended with {done.returncode}; what it printed is kept", file=sys.stderr)
        tables = {
            file.stem: json.loads(file.read_text()) for file in sorted(Path(kept).glob("*.json"))
        }
    shown = {PHOTOS: "DIR", PHOTO: "DIR/somebody/photograph.jpg"}
    command = f".venv/bin/python -m {shlex.join(shown.get(p, p) for p in section.command)}"
    part = f"## {section.title}\n\n{section.about}\n\n`{command}`\n\n"
    if section.plot and tables:
        part += f"![{section.title}](benchmarks/{_draw(section, tables).name})\n\n"
    # What the service logs is left out.
    said = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("{"))
    return f"{part}```text\n{said.strip()}\n```\n\n{machine}"


def one_person(photos: Path) -> Path:
    """Return a photograph that shows one face; several would not be registered.

    Raises:
        SystemExit: there is none.
    """
    engine = OpenVINOEngine()
    for path in sorted(photos.glob("*/*.[jp][pn]g")):
        if len(engine.detect(decode(path.read_bytes()))) == 1:
            return path
    raise SystemExit(f"error: no photograph in {photos} shows one face")


def _draw(section: Section, tables: dict[str, Table]) -> Path:
    assert section.plot
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    section.plot(figure.subplots(), tables)
    file = PLOTS / f"{section.name}.svg"
    figure.savefig(file, metadata={"Date": None})
    return file


if __name__ == "__main__":
    sys.exit(main())
