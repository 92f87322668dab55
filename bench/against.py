"""Compare the application with the one of an earlier commit, alternating in one run.

    python -m bench.against COMMIT

The cold start is the import of the deployed package in a fresh process, without bytecode. A verify
is one request to ``/verify`` whose calls to AWS are answered from memory. Both applications use the
libraries that are installed now.
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import coldstart
from bench.tables import print_table

MOST = 1.05
"""Times what the earlier commit takes."""
DEPLOYED = ("app.py", "chalicelib", ".chalice", "requirements.txt")

ANSWER_ROUNDS = """
import contextlib, io, json, sys, time
from functools import partial
from types import SimpleNamespace
from bench import overhead

with contextlib.redirect_stdout(io.StringIO()):
    import app
aws, context = overhead.Aws(), SimpleNamespace(aws_request_id="id")
app.faces._client = app.records._client = lambda: aws
asked = {
    f"{size} {kind}": event
    for size, wanted in overhead.SIZES.items()
    for kind, event in overhead.events(overhead.photograph(wanted)).items()
}
print(json.dumps(list(asked)), flush=True)
for line in sys.stdin:
    name = line.strip()
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = overhead.measured({"verify": partial(app.app, asked[name], context)}, 1)
    print(seconds["verify"][0], flush=True)
"""


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("commit", help="the earlier commit")
    parser.add_argument("--runs", type=int, default=25, help="fresh processes of each (25)")
    parser.add_argument("--rounds", type=int, default=200, help="of each request (200)")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        before = check_out(options.commit, folder / "before")
        now = copy_without_bytecode(folder / "now")
        rows = [["", "before", "now", "ratio"], *cold_starts(before, now, folder, options.runs)]
        rows += verifies(before, now, options.rounds)
    print_table(rows, "against")
    missed = [name for name, *_, ratio in rows[1:] if float(ratio) > MOST]
    print(f"at most {MOST} is wanted: {'missed: ' + ', '.join(missed) if missed else 'met'}")
    return int(bool(missed))


def check_out(commit: str, folder: Path) -> Path:
    """Write what a commit deploys into a folder, and return the folder."""
    archive = subprocess.run(
        ["git", "archive", commit, *DEPLOYED], cwd=coldstart.ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def copy_without_bytecode(folder: Path) -> Path:
    """Copy what this checkout deploys into a folder, and return the folder."""
    folder.mkdir()
    for name in DEPLOYED:
        source = coldstart.ROOT / name
        if source.is_dir():
            leave_out = shutil.ignore_patterns("__pycache__", "deployments")
            shutil.copytree(source, folder / name, ignore=leave_out)
        else:
            shutil.copy(source, folder / name)
    return folder


def cold_starts(before: Path, now: Path, folder: Path, runs: int) -> list[list[str]]:
    """Return a row for the size of the package, and one for its import."""
    sizes, places = {}, {}
    for name, project in (("before", before), ("now", now)):
        place = folder / f"package-{name}"
        place.mkdir()
        package = coldstart.packaged(place, project)
        sizes[name] = package.stat().st_size
        places[name] = coldstart.lay_out(package, place)
    seconds: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(runs):
        for name, (whole, _, beside) in places.items():
            seconds[name].append(coldstart.fresh(coldstart.TIMED_IMPORT, whole, beside))
    kilobytes = {name: size / 1000 for name, size in sizes.items()}
    milliseconds = {name: statistics.median(found) * 1000 for name, found in seconds.items()}
    return [_row("package, KB", kilobytes), _row("cold start, ms", milliseconds)]


def verifies(before: Path, now: Path, rounds: int) -> list[list[str]]:
    """Return a row for each kind of request to ``/verify``."""
    with _application(before) as old, _application(now) as new:
        names, _ = (json.loads(_read(process)) for process in (old, new))
        rows = []
        for name in names:
            seconds: dict[str, list[float]] = {"before": [], "now": []}
            for _ in range(rounds):
                for which, process in (("before", old), ("now", new)):
                    assert process.stdin is not None
                    process.stdin.write(f"{name}\n")
                    process.stdin.flush()
                    seconds[which].append(float(_read(process)))
            medians = {which: statistics.median(s) * 1000 for which, s in seconds.items()}
            rows.append(_row(f"verify {name}, ms", medians))
    return rows


@contextmanager
def _application(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the application of a folder in a process that answers a request for each line."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWER_ROUNDS],
        cwd=folder,
        env={
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(folder), str(coldstart.ROOT)]),
            "AWS_DEFAULT_REGION": "us-east-1",
            "METRICS": "bench",  # as where it is deployed
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _read(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _row(name: str, found: dict[str, float]) -> list[str]:
    before, now = found["before"], found["now"]
    return [name, f"{before:.2f}", f"{now:.2f}", f"{now / before:.3f}"]


if __name__ == "__main__":
    sys.exit(main())
