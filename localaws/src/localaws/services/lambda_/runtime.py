"""What a function finds in Lambda beside its own code: the runtime's client, and boto3."""

import importlib.util
import sys
from pathlib import Path

_PACKAGES = (
    # boto3, as Lambda's Python runtimes have it
    "boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3",
    # AWS's own runtime interface client
    "awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py",
)  # fmt: skip


class RuntimeMissing(RuntimeError):
    """Deployed functions cannot be run on this machine."""


def lay_out(folder: Path) -> None:
    """Make a folder that has what Lambda's runtime has, and nothing else, by links to it.

    Raises:
        RuntimeMissing: a part of it is not installed.
    """
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise RuntimeMissing(
                f"{name} is not installed: deployed functions are run by awslambdaric, on Linux"
            )
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)


def command(handler: str) -> list[str]:
    """Return what starts the runtime: this Python without its packages, writing no bytecode.

    On Lambda the code cannot be written beside either, so what comes without it is compiled at
    each cold start.
    """
    return [sys.executable, "-S", "-B", "-m", "awslambdaric", handler]
