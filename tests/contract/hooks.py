"""Photographs, good and bad, for Schemathesis, which cannot generate them from the specification.

Its command line loads this module by the environment variable SCHEMATHESIS_HOOKS.
"""

import base64
from typing import Any

import schemathesis
from hypothesis import strategies as st

from sample_photographs import landscape, photograph, resized

PHOTOGRAPHS = [
    resized(photograph("obama.jpg"), 400),
    resized(photograph("biden.jpg"), 400),
    landscape(160, 120),
]
"""Small ones, so that many can be tried."""

contents = st.one_of(
    st.sampled_from(PHOTOGRAPHS),
    st.binary(max_size=2000),
    st.builds(
        lambda data, at: data[:at],
        st.sampled_from(PHOTOGRAPHS),
        st.integers(0, len(PHOTOGRAPHS[0])),
    ),
)
for media_type in ("image/jpeg", "image/png"):
    schemathesis.openapi.media_type(media_type, contents)


@schemathesis.hook
def map_case(context: Any, case: schemathesis.Case) -> schemathesis.Case:
    """Repair valid requests, so that more of them pass the check of their fields.

    The specification cannot say that query parameters belong to raw photographs only, nor which
    base64 texts are photographs.
    """
    if not case.meta.generation.mode.is_positive or str(case.media_type).startswith("image/"):
        return case
    case.query = {}
    if isinstance(case.body, dict) and "contentType" not in case.body:
        chosen = PHOTOGRAPHS[len(repr(case.body)) % len(PHOTOGRAPHS)]
        if case.media_type == "multipart/form-data":
            case.body = {**case.body, "image": chosen}
        elif isinstance(case.body.get("image"), str):
            case.body = {**case.body, "image": base64.b64encode(chosen).decode()}
    return case


@schemathesis.hook
def filter_case(context: Any, case: schemathesis.Case) -> bool:
    """Drop forms with values that are no text: sent in a form, every value becomes text."""
    if case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return True
    return all(isinstance(value, str | bytes) for value in case.body.values())
