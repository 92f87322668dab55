"""Compare the application with an earlier commit, alternating in one run.

    python -m bench.against COMMIT

The cold start is the import of the deployed package in a fresh process, without compiled bytecode.
A verify is one request to ``/verify``; its calls to AWS are answered from memory. Both applications
use the installed libraries.
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

MAX_RATIO = 1.05
"""Maximum time and size, as a multiple of the earlier commit's."""
DEPLOYED = ("app.py", "chalicelib", ".chalice", "requirements.txt")

ANSWER_REQUESTS = """
import contextlib, io, json, sys, time
from functools import partial
from types import SimpleNamespace
from bench import overhead

with contextlib.redirect_stdout(io.StringIO()):
    import app
aws, context = overhead.FakeAWS(), SimpleNamespace(aws_request_id="id")
app.faces._client = app.records._client = lambda: aws
requests = {
    f"{size} {kind}": event
    for size, size_in_bytes in overhead.SIZES.items()
    for kind, event in overhead.events(overhead.photograph(size_in_bytes)).items()
}
print(json.dumps(list(requests)), flush=True)
for line in sys.stdin:
    name = line.strip()
    with contextlib.redirect_stdout(io.StringIO()):
        seconds = overhead.time_calls({"verify": partial(app.app, requests[name], context)}, 1)
    print(seconds["verify"][0], flush=True)
"""


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument("commit", help="the earlier commit")
    parser.add_argument(
        "--runs", type=int, default=25, help="fresh processes of each application (default: 25)"
    )
    parser.add_argument(
        "--rounds", type=int, default=200, help="repetitions of each request (default: 200)"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        before = check_out(options.commit, folder / "before")
        now = copy_without_bytecode(folder / "now")
        rows = [["", "before", "now", "ratio"], *cold_starts(before, now, folder, options.runs)]
        rows += verifies(before, now, options.rounds)
    print_table(rows, "against")
    exceeded = [name for name, *_, ratio in rows[1:] if float(ratio) > MAX_RATIO]
    result = f"exceeded: {', '.join(exceeded)}" if exceeded else "met"
    print(f"limit of the ratios: {MAX_RATIO}, {result}")
    return int(bool(exceeded))


def check_out(commit: str, folder: Path) -> Path:
    """Write the deployed files of a commit into a folder, and return the folder."""
    archive = subprocess.run(
        ["git", "archive", commit, *DEPLOYED], cwd=coldstart.ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def copy_without_bytecode(folder: Path) -> Path:
    """Copy the deployed files of this checkout into a folder, and return the folder."""
    folder.mkdir()
    for name in DEPLOYED:
        source = coldstart.ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "deployments")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)
    return folder


def cold_starts(before: Path, now: Path, folder: Path, runs: int) -> list[list[str]]:
    """Return the rows for the size of the package and for its import."""
    sizes, unpacked = {}, {}
    for name, project in (("before", before), ("now", now)):
        target = folder / f"package-{name}"
        target.mkdir()
        package = coldstart.build_package(target, project)
        sizes[name] = package.stat().st_size
        unpacked[name] = coldstart.unpack(package, target)
    seconds: dict[str, list[float]] = {name: [] for name in unpacked}
    for _ in range(runs):
        for name, (application, _, libraries) in unpacked.items():
            seconds[name].append(
                coldstart.run_fresh(coldstart.TIMED_IMPORT, application, libraries)
            )
    kilobytes = {name: size / 1000 for name, size in sizes.items()}
    milliseconds = {name: statistics.median(times) * 1000 for name, times in seconds.items()}
    return [_row("package, KB", kilobytes), _row("cold start, ms", milliseconds)]


def verifies(before: Path, now: Path, rounds: int) -> list[list[str]]:
    """Return a row for each request to ``/verify``."""
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
    """Run an application in a process that performs one request per input line."""
    process = subprocess.Popen(
        [sys.executable, "-c", ANSWER_REQUESTS],
        cwd=folder,
        env={
            "PATH": os.defpath,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(folder), str(coldstart.ROOT)]),
            "AWS_DEFAULT_REGION": "us-east-1",
            "METRICS": "bench",  # deployed functions write metrics, so do it here as well
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


def _row(name: str, values: dict[str, float]) -> list[str]:
    before, now = values["before"], values["now"]
    return [name, f"{before:.2f}", f"{now:.2f}", f"{now / before:.3f}"]


if __name__ == "__main__":
    sys.exit(main())
