"""The access key of an installation: whoever has it may do everything in the account.

Other users of the machine, and the web pages that its owner visits, reach the ports too. The secret
keeps them out. A data folder keeps it in a file that AWS's SDKs and tools read, named by
``AWS_SHARED_CREDENTIALS_FILE``: https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html
"""

import configparser
import os
import re
import secrets
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localaws.account import REGION

ACCESS_KEY_ID: Final = "local"
FILE_NAME: Final = "credentials"
VARIABLE: Final = "AWS_SHARED_CREDENTIALS_FILE"
"""The environment variable that leads SDKs and tools to the file."""

OPEN_TO_ALL: Final = (
    "warning: --open lets every program, every user of this machine and every web page that you"
    " visit read and change everything"
)

_SECRET_BYTES: Final = 30
"""As many as AWS's secrets have: 40 characters of base64."""


@dataclass(frozen=True)
class AccessKey:
    """An access key, as ``aws configure`` asks for it."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id!r})"  # the secret stays out of logs

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that give SDKs this key."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    def secret_of(self, access_key_id: str) -> str | None:
        """Return the secret, if this is the key of that id."""
        return self.secret_access_key if access_key_id == self.access_key_id else None

    def token_of(self, access_key_id: str) -> None:
        """Return None: the key is permanent."""

    def has_expired(self, access_key_id: str) -> bool:
        """Return False: the key is permanent."""
        return False

    @classmethod
    def new(cls) -> "AccessKey":
        """Return a key with a new secret."""
        return cls(ACCESS_KEY_ID, secrets.token_urlsafe(_SECRET_BYTES))

    @classmethod
    def kept_in(cls, folder: Path) -> "AccessKey":
        """Return the key in the folder's credentials file, which is made if it is missing.

        A file without a readable key is replaced: no data is lost with the secret.

        Raises:
            OSError: the file cannot be read or written.
        """
        path = folder / FILE_NAME
        key = _read(path)
        if key is None:
            key = cls.new()
            key.write(path)
        return key

    def write(self, path: Path) -> None:
        """Write an AWS credentials file that only its owner can read, in one step.

        Raises:
            OSError: the file cannot be written.
        """
        unfinished = path.with_name(f"{path.name}.new")
        with suppress(FileNotFoundError):
            unfinished.unlink()
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(
                "[default]\n"
                f"aws_access_key_id = {self.access_key_id}\n"
                f"aws_secret_access_key = {self.secret_access_key}\n"
            )
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


@contextmanager
def shell_variables(key: AccessKey, folder: str | None, url: str) -> Iterator[str]:
    """Yield the line that a shell needs to use the key, without the secret itself.

    Args:
        key: the key.
        folder: the data folder, which keeps the key; without one a private temporary file has it.
        url: the address of the server.
    """
    with tempfile.TemporaryDirectory(prefix="localaws-") as temporary:
        path = Path(folder or temporary).resolve() / FILE_NAME
        if folder is None:
            key.write(path)
        yield (
            f"export {VARIABLE}={shlex.quote(str(path))}"
            f" AWS_ENDPOINT_URL={url} AWS_DEFAULT_REGION={REGION}"
        )


def is_foreign(path: Path) -> bool:
    """Return whether a file holds another access key, such as the owner's for AWS itself.

    Raises:
        OSError: the file cannot be read.
    """
    ids = re.findall(r"aws_access_key_id\s*=\s*(\S*)", path.read_text(errors="replace"))
    return bool(set(ids) - {ACCESS_KEY_ID})


def _read(path: Path) -> AccessKey | None:
    """Return the key in a credentials file; None if it holds none that can be trusted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:  # others may have read the secret
            return None
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_file(file)
            section = parser["default"]
            key = AccessKey(section["aws_access_key_id"], section["aws_secret_access_key"])
        except (configparser.Error, KeyError):
            return None
    is_whole = key.access_key_id == ACCESS_KEY_ID and len(key.secret_access_key) >= _SECRET_BYTES
    return key if is_whole else None
