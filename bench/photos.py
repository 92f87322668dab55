"""The photographs that are measured with: a folder per person."""

import argparse
from pathlib import Path


def people_folder(text: str) -> Path:
    """Read an argument that names a folder of photographs.

    Raises:
        argparse.ArgumentTypeError: it holds none.
    """
    if not text or not any(Path(text).glob("*/*.[jp][pn]g")):
        raise argparse.ArgumentTypeError(
            f"{text or 'no folder'}: name one that holds a folder of photographs per person"
            " (make bench PHOTOS=DIR)"
        )
    return Path(text)
