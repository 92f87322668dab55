"""The photographs for benchmarks: a folder with one folder per person."""

import argparse
from pathlib import Path


def people_folder(text: str) -> Path:
    """Convert a command-line argument to a folder of photographs.

    Raises:
        argparse.ArgumentTypeError: the folder contains no photographs.
    """
    if not text or not any(Path(text).glob("*/*.[jp][pn]g")):
        raise argparse.ArgumentTypeError(
            f"{text or 'no folder'} contains no photographs. Name a folder that has a folder of"
            " photographs per person (make bench PHOTOS=DIR)"
        )
    return Path(text)


def photographs_by_person(folder: Path) -> dict[str, list[Path]]:
    """Return the JPEG and PNG files of each person, sorted by name."""
    people = sorted(path for path in folder.iterdir() if path.is_dir())
    return {person.name: sorted(person.glob("*.[jp][pn]g")) for person in people}
