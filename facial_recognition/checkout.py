"""The project's checkout: stages, pages and documents are read from it and are not installed."""

from pathlib import Path


def find() -> Path:
    """Return the folder that holds ``.chalice/config.json``.

    A checkout that the package is linked from comes first. An installed package looks at the
    current folder and the folders above it.
    """
    linked = Path(__file__).parent.parent
    for folder in (linked, Path.cwd(), *Path.cwd().parents):
        if (folder / ".chalice" / "config.json").is_file():
            return folder
    return Path.cwd()


ROOT = find()
