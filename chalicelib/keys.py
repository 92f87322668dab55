"""Keys of the photographs in S3: ``faces/<personId>/<file>``."""

import re

from chalicelib.images import EXTENSIONS
from chalicelib.models import is_person_id

PREFIX = "faces/"

_KEY = re.compile(rf"{PREFIX}(?P<person_id>[^/]+)/[^/].*", re.DOTALL)


def image_key(person_id: str, file_name: str, media_type: str) -> str:
    """Return the key of a person's photograph; the extension follows from the media type."""
    return f"{folder_of(person_id)}{file_name}.{EXTENSIONS[media_type]}"


def folder_of(person_id: str) -> str:
    """Return the prefix of the keys of a person's photographs."""
    return f"{PREFIX}{person_id}/"


def person_of(key: str) -> str | None:
    """Return the id of the person whose folder a key is in; None if it is in no person's folder."""
    match = _KEY.fullmatch(key)
    if match is None or not is_person_id(match["person_id"]):
        return None
    return match["person_id"]


def is_folder(key: str) -> bool:
    """Return whether a key is an empty object that the S3 console made to show a folder."""
    return key.endswith("/")
