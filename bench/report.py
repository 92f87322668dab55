"""Run all benchmarks on this machine, and write ``docs/benchmarks.md`` with tables and plots.

    python -m bench.report --photos DIR          (DIR holds one folder per person)
    python -m bench.report --photos DIR --only speed --only search

Each section of the page has the command that repeats its measurements. Sections of benchmarks that
are not run stay unchanged.
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

from bench.photos import people_folder, photographs_by_person
from bench.tables import TABLES_FOLDER
from localaws.rekognition.engine import OpenVINOEngine
from localaws.rekognition.images import decode

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
PLOTS = ROOT / "docs" / "benchmarks"
HEADER = """# Benchmarks

Alternatives were timed alternately in one run. Trust the ratios more than the times.

To repeat all measurements, run `make bench PHOTOS=DIR`. DIR holds one folder per person."""
PHOTOS = "PHOTOS"
"""Placeholder for the folder of photographs in a command."""

PHOTO = "PHOTO"
"""Placeholder for one photograph in a command."""

Table = list[list[str]]
Plot = Callable[[Axes, dict[str, Table]], None]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, and its section of the page."""

    name: str
    title: str
    about: str
    command: tuple[str, ...]
    """The module and its options."""
    plot: Plot | None = None
    """Draws a plot of the benchmark's tables."""


def column_numbers(table: Table, column: int) -> list[float]:
    """Return the numbers in a column of a table, without units and remarks."""
    return [float(row[column].split()[0].lstrip("<")) for row in table[1:]]


def row_labels(table: Table) -> list[str]:
    """Return the labels of a table's rows."""
    return [row[0] for row in table[1:]]


def bars(name: str, column: int, axis: str) -> Plot:
    """Return a function that plots a column of a table as horizontal bars.

    Args:
        name: the name of the table.
        column: the index of the column.
        axis: the label of the axis.
    """

    def draw(axes: Axes, tables: dict[str, Table]) -> None:
        table = tables[name]
        axes.barh(row_labels(table)[::-1], column_numbers(table, column)[::-1], color="#2f6f8f")
        axes.set_xlabel(axis)

    return draw


def calibration(axes: Axes, tables: dict[str, Table]) -> None:
    """Plot the share of pairs that each threshold accepts."""
    table = tables["calibration"]
    thresholds = column_numbers(table, 0)
    axes.plot(thresholds, column_numbers(table, 1), label="pairs of one person", color="#2f6f8f")
    false = [
        (t, rate) for t, rate in zip(thresholds, column_numbers(table, 2), strict=True) if rate
    ]
    axes.plot(*zip(*false, strict=True), label="pairs of two people", color="#c2562d")
    axes.set_yscale("log")
    axes.set_xlabel("threshold")
    axes.set_ylabel("share accepted")
    axes.legend()


def growth(axes: Axes, tables: dict[str, Table]) -> None:
    """Plot the time of a search by the size of the index."""
    table = tables["search"]
    for column in (1, 2, 3):
        axes.plot(
            row_labels(table), column_numbers(table, column), marker="o", label=table[0][column]
        )
    axes.set_yscale("log")
    axes.set_xlabel("vectors in the index")
    axes.set_ylabel("ms")
    axes.legend()


BENCHMARKS = [
    Benchmark(
        "accuracy",
        "End-to-end accuracy",
        "One photograph of each person is uploaded to S3. All others are verified over HTTP at the"
        " default threshold. People with only one photograph are strangers.",
        ("bench.accuracy", "--photos", PHOTOS),
    ),
    Benchmark(
        "calibration",
        "Accuracy and calibration of the local Rekognition",
        "All pairs of photographs are compared. Then one photograph of each person is known, and"
        " all others are searched.",
        ("bench.faces", "--photos", PHOTOS, "--only", "accuracy"),
        calibration,
    ),
    Benchmark(
        "speed",
        "Speed of the face engine",
        "Compared with OpenCV's own classes on the same models, and with face_recognition.",
        ("bench.faces", "--photos", PHOTOS, "--only", "speed", "--only", "large"),
        bars("speed", 1, "faces per second"),
    ),
    Benchmark(
        "search",
        "Search time by size of the collection",
        "Compared with faiss's exact index, and with reading all vectors once, which is the limit.",
        ("bench.faces", "--photos", PHOTOS, "--only", "search", "--only", "memory"),
        growth,
    ),
    Benchmark(
        "bulk",
        "Bulk registration",
        "Uploads to S3 while Rekognition throttles, and /create-index of existing photographs."
        " Compared with IndexFaces alone on the same machine, which is the limit.",
        ("bench.load", "--photos", PHOTOS, "--uploads", "500", "--existing", "1000"),
        bars("bulk", 1, "photographs per second"),
    ),
    Benchmark(
        "overhead",
        "Overhead of /verify",
        "The time of /verify without its calls to AWS, compared with a bare Chalice route that"
        " reads the same body. The ratio may be at most 1.5.",
        ("bench.overhead",),
        bars("overhead", 4, "times the bare route"),
    ),
    Benchmark(
        "coldstart",
        "Cold start",
        "The import of the deployed package in a fresh process, compared with a bare Chalice"
        " application that imports the same libraries. The ratio may be at most 1.15. Then the"
        " first verify of a process, compared with later ones.",
        ("bench.coldstart", "--photo", PHOTO),
        bars("import", 1, "ms to import the handler"),
    ),
    Benchmark(
        "pages",
        "From the click to the answer",
        "The page for verifying people, in Chromium with a camera that shows a photograph.",
        ("bench.pages", "--photo", PHOTO),
        bars("pages", 1, "ms"),
    ),
    Benchmark(
        "crowd",
        "In a crowd of slow and idle clients",
        "32 clients verify a photograph at the same time: alone, and beside 600 slow clients and"
        " 2,000 idle ones on all three ports of `make run`. First the service may open as many"
        " files as it wants, then 1,024. The process that holds the connections runs on the same"
        " processors.",
        ("bench.crowd", "--count", "120"),
    ),
    Benchmark(
        "killed",
        "Killed 200 times",
        "Six writers use all ways in until the service is killed. After each start, and when all"
        " events are handled, every photograph has to be in the state that was acknowledged last:"
        " once in bucket, table and collection.",
        ("bench.killed", "--rounds", "200"),
    ),
    Benchmark(
        "fuzz",
        "Mutated requests",
        "Eight clients send valid requests with random changes to all ports of `make run`.",
        ("bench.fuzz", "--minutes", "20"),
    ),
]


def main() -> int:
    """Run the selected benchmarks, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=people_folder, required=True, help="folder with one folder per person"
    )
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument(
        "--only", action="append", choices=names, help="run only this benchmark; may be repeated"
    )
    options = parser.parse_args()
    selected = [b for b in BENCHMARKS if not options.only or b.name in options.only]
    mpl.use("svg")
    # A fixed salt makes the same numbers give the same file.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 10})
    PLOTS.mkdir(parents=True, exist_ok=True)
    sections = _read_sections()
    machine = _describe_machine(options.photos)
    for benchmark in selected:
        print(f"{benchmark.name} ...", flush=True)
        sections[benchmark.title] = _run(benchmark, options.photos, machine)
    page = [HEADER, *(sections[b.title] for b in BENCHMARKS if b.title in sections)]
    PAGE.write_text("\n\n".join(page) + "\n")
    print(f"written: {PAGE}")
    return 0


def _read_sections() -> dict[str, str]:
    """Return the sections of the existing page, by title."""
    text = PAGE.read_text() if PAGE.exists() else ""
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0].removeprefix("## "): part.strip() for part in sections}


def _describe_machine(photos: Path) -> str:
    """Return a sentence with the date, the machine and the number of photographs."""
    people = photographs_by_person(photos)
    count = sum(map(len, people.values()))
    processor = _processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {processor}, {os.cpu_count()} processors,"
        f" {memory:.0f} GiB, {platform.system()} {platform.release()}, Python"
        f" {platform.python_version()}; {count} photographs of {len(people)} people."
    )


def _processor() -> str:
    """Return the name of the processor, or of its architecture if the name is unknown."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _run(benchmark: Benchmark, photos: Path, machine: str) -> str:
    """Run a benchmark, draw its plot, and return its section of the page."""
    values = {PHOTOS: str(photos), PHOTO: str(photograph_of_one_face(photos))}
    arguments = [values.get(part, part) for part in benchmark.command]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env={**os.environ, TABLES_FOLDER: folder},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            print(
                f"  {benchmark.name} ended with exit code {done.returncode}; the page has its"
                " output all the same",
                file=sys.stderr,
            )
        tables = {
            file.stem: json.loads(file.read_text()) for file in sorted(Path(folder).glob("*.json"))
        }
    shown = {PHOTOS: "DIR", PHOTO: "DIR/somebody/photograph.jpg"}
    command = f".venv/bin/python -m {shlex.join(shown.get(p, p) for p in benchmark.command)}"
    section = f"## {benchmark.title}\n\n{benchmark.about}\n\n`{command}`\n\n"
    if benchmark.plot and tables:
        section += f"![{benchmark.title}](benchmarks/{_draw(benchmark, tables).name})\n\n"
    # Lines that begin with a brace are the log of the service.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
    output = "\n".join(lines).strip("\n")
    return f"{section}```text\n{output}\n```\n\n{machine}"


def photograph_of_one_face(photos: Path) -> Path:
    """Return a photograph with exactly one face: the service registers no other.

    Raises:
        SystemExit: no photograph has exactly one face.
    """
    engine = OpenVINOEngine()
    for path in sorted(photos.glob("*/*.[jp][pn]g")):
        if len(engine.detect(decode(path.read_bytes()))) == 1:
            return path
    raise SystemExit(f"error: no photograph in {photos} shows exactly one face")


def _draw(benchmark: Benchmark, tables: dict[str, Table]) -> Path:
    assert benchmark.plot
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    benchmark.plot(figure.subplots(), tables)
    file = PLOTS / f"{benchmark.name}.svg"
    figure.savefig(file, metadata={"Date": None})
    return file


if __name__ == "__main__":
    sys.exit(main())
