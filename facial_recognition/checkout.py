"""The project's checkout: stages, pages and documents are read from it and are not installed."""

from pathlib import Path


class NoCheckout(Exception):
    """A command needs the project's files, and there is no checkout to read them from."""

    def __init__(self) -> None:
        super().__init__(
            "Run this in a checkout of the project: neither this folder nor one above it has"
            " .chalice/config.json."
        )


def find() -> Path | None:
    """Return the folder of the checkout, or None where there is none.

    A checkout that the package is linked from comes first. An installed package looks in the
    current folder and the folders above it.
    """
    linked = Path(__file__).parent.parent
    try:
        here = Path.cwd()
    except FileNotFoundError:  # somebody deleted the current folder
        here = linked
    for folder in (linked, here, *here.parents):
        if (folder / ".chalice" / "config.json").is_file():
            return folder
    return None


def require() -> Path:
    """Return the folder of the checkout.

    Raises:
        NoCheckout: there is none.
    """
    found = find()
    if found is None:
        raise NoCheckout
    return found


ROOT = find() or Path()
"""The folder of the checkout; the current folder where there is none."""
