"""Hypothesis searches for an input that is neither read nor refused with a problem."""

import base64
import json
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chalicelib import images
from chalicelib.errors import Problem
from chalicelib.http import problem_response, read_request
from chalicelib.messages import CreateIndexRequest, RegisterRequest, VerifyRequest
from tests.contract.corpus import odd_images
from tests.support.requests import gateway_request

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
INPUTS_OF_AN_EXAMPLE = 30
"""Least number of inputs that an example tries, on average."""
KINDS = [RegisterRequest, CreateIndexRequest, VerifyRequest]
TYPES = ["application/json", "multipart/form-data; boundary=x", "image/jpeg"]
NAMES = ["name", "personId", "image", "contentType", "imageKey", "nextToken", "repair"]
NAMES += ["threshold", "maxMatches"]

fuzz = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
tried: Counter[str] = Counter()

pictures = st.sampled_from([odd.data for odd in odd_images() if len(odd.data) < 3000])
texts = st.text(st.characters(exclude_categories=()), max_size=50)  # with lone surrogates
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | pictures.map(lambda data: base64.b64encode(data).decode())
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2)
objects = st.lists(st.tuples(st.sampled_from(NAMES) | texts, values), max_size=5)
damages = st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=5)), max_size=6)
Damages = list[tuple[int, bytes]]


def damaged(data: bytes, changes: Damages) -> list[bytes]:
    """Return data unchanged, with more and more parts overwritten, and cut off."""
    found = [data]
    for place, written in changes:
        at = place % (len(data) + 1)
        data = data[:at] + written + data[at + len(written) :]
        found += [data, data[:at], data[at:]]
    return found


def ask(bodies: Sequence[bytes], types: Sequence[str] = TYPES, **query: str) -> None:
    """Read bodies as every kind of request: each is read, or refused with a problem."""
    for body in bodies:
        for kind in KINDS:
            for content_type in types:
                tried["requests"] += 1
                problem = refusal(kind, body, content_type, query)
                if problem is not None:
                    assert 0 < len(problem.detail) < 1000
                    assert problem.status < 500
                    problem_response(problem, "id")


def refusal(
    kind: type[Any], body: bytes, content_type: str, query: dict[str, str]
) -> Problem | None:
    """Read a request; return the problem for which it is refused, if it is."""
    try:
        read_request(gateway_request(body, content_type, **query), kind)
    except Problem as problem:
        return problem
    return None


@fuzz
@given(objects, damages)
def test_json(members: list[tuple[str, Any]], changes: Damages) -> None:
    text = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in members)
    ask(damaged(f"{{{text}}}".encode(), changes))


@fuzz
@given(st.binary(), texts)
def test_any_body_of_any_type(body: bytes, content_type: str) -> None:
    ask([body], [content_type, *TYPES])


@fuzz
@example(b"{}", {"\ud800": ""})
@given(pictures, st.dictionaries(st.sampled_from(NAMES) | texts, texts, max_size=4))
def test_query(body: bytes, query: dict[str, str]) -> None:
    ask([body, b"{}"], **query)


@fuzz
@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=50) | pictures), max_size=5),
    damages,
)
def test_forms(parts: list[tuple[str, bytes]], changes: Damages) -> None:
    body = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in parts
    )
    ask(damaged(body + b"--x--\r\n", changes))


@fuzz
@given(pictures, damages, st.sampled_from(["data:image/png;base64,", " data:;;;base64,", ""]))
def test_images(data: bytes, changes: Damages, prefix: str) -> None:
    for content in damaged(data, changes):
        tried["images"] += 3
        encoded = base64.b64encode(content).decode()
        for text in (prefix + encoded, encoded[:-1]):
            with suppress(Problem):
                images.from_base64(text)
        with suppress(Problem):
            photograph = images.from_bytes(content)
            assert photograph.width * photograph.height <= images.MAX_PIXELS


def test_enough_was_tried() -> None:
    print(dict(tried))
    assert tried.total() >= 5 * EXAMPLES * INPUTS_OF_AN_EXAMPLE
