"""The packages that a function finds in Lambda: AWS's runtime client, and boto3."""

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
    """A package that runs deployed functions is not installed."""


def lay_out(folder: Path) -> None:
    """Fill a folder with links to the packages of Lambda's runtime, and to nothing else.

    Raises:
        RuntimeMissing: a package is not installed.
    """
    for name in _PACKAGES:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise RuntimeMissing(
                f"{name} is not installed: deployed functions need it, and run on Linux only"
            )
        origin = Path(found.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)


def command(handler: str) -> list[str]:
    """Return the command that runs a handler: this Python, without its packages.

    Python writes no bytecode, because Lambda's code folder is read-only: there, modules without
    bytecode are compiled at each cold start.
    """
    return [sys.executable, "-S", "-B", "-m", "awslambdaric", handler]
