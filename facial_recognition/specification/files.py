"""The generated files: ``docs/openapi.json`` and ``docs/api.html``."""

import json
from pathlib import Path

from facial_recognition.checkout import ROOT
from facial_recognition.specification.document import document
from facial_recognition.specification.page import page

DOCUMENT = ROOT / "docs" / "openapi.json"
PAGE = ROOT / "docs" / "api.html"


def generate() -> dict[Path, str]:
    """Return the text of each generated file, by the file's path."""
    described = document()
    text = json.dumps(described, ensure_ascii=False, indent=2) + "\n"
    return {DOCUMENT: text, PAGE: page(described)}
