"""Measure how accurately the whole service recognises people.

    python -m bench.accuracy --photos DIR        (DIR holds one folder per person)

The benchmark starts the service on free ports. For each person with several photographs, it uploads
one to S3 and verifies the others over HTTP. People with a single photograph are strangers: the
service should not recognise them.
"""

import argparse
import logging
import os
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import requests

from bench.photos import people_folder, photographs_by_person
from bench.tables import print_table
from chalicelib.settings import Settings
from facial_recognition.local.api import LocalApi
from facial_recognition.local.project import install
from localaws.server import EmbeddedAWS

ROOT = Path(__file__).parent.parent
OUTCOMES = ("right", "wrong person", "not verified", "no face")


@dataclass
class Tally:
    """Counts the outcomes of verifying a group of photographs."""

    people: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def row(self, name: str) -> list[str]:
        """Return a row of the table."""
        total = sum(self.outcomes.values())
        counts = [
            f"{self.outcomes[o]} ({self.outcomes[o] / total:.1%})" if total else "-"
            for o in OUTCOMES
        ]
        median = f"{statistics.median(self.seconds) * 1000:.0f} ms" if self.seconds else "-"
        return [name, str(self.people), str(total), *counts, median]


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=people_folder, required=True, help="folder with one folder per person"
    )
    parser.add_argument(
        "--threshold", type=float, help="minimum similarity (default: that of the service)"
    )
    options = parser.parse_args()
    photographs = photographs_by_person(options.photos)
    # Keep the log of the service and of its workers out of the output.
    logging.getLogger("facial-recognition").setLevel(logging.CRITICAL)
    os.environ["POWERTOOLS_LOG_LEVEL"] = "CRITICAL"

    with EmbeddedAWS() as aws:
        project = install(aws, str(ROOT))
        with LocalApi(project) as api:
            registered = {name: p[0] for name, p in photographs.items() if len(p) > 1}
            rate = _upload(aws, registered)
            members, strangers = Tally(len(registered)), Tally()
            for name, paths in photographs.items():
                if name in registered:
                    for path in paths[1:]:
                        _verify(api.url, path, name, options.threshold, members)
                elif paths:
                    strangers.people += 1
                    _verify(api.url, paths[0], None, options.threshold, strangers)

    header = ["", "people", "photographs", *OUTCOMES, "verify (median)"]
    print_table([header, members.row("registered"), strangers.row("strangers")], "accuracy")
    threshold = options.threshold or Settings().face_match_threshold
    print(f"\nthreshold {threshold:g}; registered through S3: {rate:.1f} photographs per second")
    return 0


def _upload(aws: EmbeddedAWS, photographs: dict[str, Path]) -> float:
    """Upload photographs to S3 and wait until all are indexed; return photographs per second."""
    s3, bucket = boto3.client("s3"), Settings().faces_bucket
    started = time.perf_counter()
    for name, path in photographs.items():
        s3.upload_file(str(path), bucket, f"faces/{name}/{path.name}")
    aws.functions.drain(timeout=3600)
    return len(photographs) / (time.perf_counter() - started)


def _verify(
    api: str, path: Path, person_id: str | None, threshold: float | None, tally: Tally
) -> None:
    """Verify a photograph, and count the outcome.

    Args:
        api: the URL of the API.
        path: the photograph.
        person_id: the registered person on it, or None for a stranger.
        threshold: the minimum similarity, or None for that of the service.
        tally: counts the outcome.
    """
    started = time.perf_counter()
    answer = requests.post(
        f"{api}/verify",
        params={} if threshold is None else {"threshold": str(threshold)},
        data=path.read_bytes(),
        headers={"Content-Type": "image/png" if path.suffix == ".png" else "image/jpeg"},
        timeout=60,
    )
    tally.seconds.append(time.perf_counter() - started)
    if answer.status_code == 422 and answer.json()["code"] == "no_face":
        outcome = "no face"
    else:
        answer.raise_for_status()
        found = answer.json()["person"]
        if found is None:
            outcome = "not verified"
        else:
            outcome = "right" if found["personId"] == person_id else "wrong person"
    tally.outcomes[outcome] += 1
    if outcome == "wrong person":
        print(f"{path.name} was recognised as {found['personId']}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
