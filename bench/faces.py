"""Measure the accuracy and the speed of the local Rekognition, compared with peers and limits.

    python -m bench.faces --photos DIR           (DIR holds one folder per person)
    python -m bench.faces --photos DIR --only speed --only search

Alternatives are timed in turn in one run, so a busy machine slows all of them alike. Trust the
ratios more than the times, which are medians. Peers that are not installed are skipped, with a
note.
"""

import argparse
import os
import sys

from bench.faces_accuracy import accuracy
from bench.faces_speed import large_photographs, speed
from bench.photos import people_folder, photographs_by_person
from bench.vector_search import memory, search

PARTS = ("accuracy", "speed", "large", "search", "memory")


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--photos", type=people_folder, required=True, help="folder with one folder per person"
    )
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="run only this part; may be repeated"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="repetitions of each timed part (default: 7)"
    )
    parser.add_argument(
        "--largest", type=int, default=1_000_000, help="size of the largest index (1000000)"
    )
    options = parser.parse_args()
    photographs = {
        name: [path.read_bytes() for path in paths]
        for name, paths in photographs_by_person(options.photos).items()
    }
    count = sum(map(len, photographs.values()))
    print(f"{count} photographs of {len(photographs)} people; {os.cpu_count() or 1} processors")
    run = {
        "accuracy": lambda: accuracy(photographs),
        "speed": lambda: speed(photographs, options.rounds),
        "large": lambda: large_photographs(photographs, options.rounds),
        "search": lambda: search(options.rounds, options.largest),
        "memory": lambda: memory(options.largest),
    }
    for part in options.only or PARTS:
        run[part]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
