import json
from typing import Any

import pytest
from chalice.app import Request

from chalicelib.errors import (
    ImageMissing,
    ImageTooLarge,
    MalformedRequest,
    Problem,
    UnsupportedImage,
    UnsupportedMediaType,
)
from chalicelib.messages import CreateIndexRequest, RegisterRequest, VerifyRequest, read
from tests.unit.test_images import JPEG


def request(body: bytes, content_type: str | None = "application/json", **query: str) -> Request:
    """Make a request as API Gateway brings it."""
    return Request(
        {
            "multiValueQueryStringParameters": {k: [v] for k, v in query.items()} or None,
            "headers": {"Content-Type": content_type} if content_type else {},
            "pathParameters": {},
            "requestContext": {"httpMethod": "POST", "resourcePath": "/"},
            "stageVariables": {},
            "body": body,
        }
    )


def as_json(**fields: Any) -> Request:
    return request(json.dumps(fields).encode())


def test_json_is_read() -> None:
    asked = read(as_json(name="  Ada Lovelace ", personId="ada"), RegisterRequest)

    assert (asked.name, asked.person_id, asked.image) == ("Ada Lovelace", "ada", None)


def test_a_raw_photograph_is_read_with_query_parameters() -> None:
    raw = request(JPEG, "image/jpeg", personId="ada", threshold="97.5", maxMatches="3")

    asked = read(raw, VerifyRequest)

    assert asked.image is not None
    assert asked.image.data == JPEG
    assert (asked.person_id, asked.threshold, asked.max_matches) == ("ada", 97.5, 3)


def test_a_body_without_a_type_and_an_empty_one_are_json() -> None:
    assert read(request(b'{"personId": "ada"}', None), CreateIndexRequest).person_id == "ada"
    assert read(request(b""), CreateIndexRequest).person_id is None


@pytest.mark.parametrize("name", ["آدا لوفليس", "李小龍", "Þórunn", "🙂", "O'Neil-Núñez Jr."])
def test_a_name_may_be_in_any_script(name: str) -> None:
    assert read(as_json(name=name), RegisterRequest).name == name


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u0000"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": 7}, "name"),
        ({"name": "Ada", "personId": "a/b"}, "personId"),
        ({"name": "Ada", "personId": "ada\n"}, "personId"),
        ({"name": "Ada", "personId": ""}, "personId"),
        ({"name": "Ada", "personId": "a" * 65}, "personId"),
        ({"name": "Ada", "image": 7}, "image"),
        ({"name": "Ada", "contentType": "image/gif"}, "contentType"),
        ({"name": "Ada", "nickname": "Countess"}, "nickname"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read(as_json(**fields), RegisterRequest)

    assert [error.field for error in refused.value.errors] == [field]
    assert field in refused.value.detail


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"threshold": 100.1}, "threshold"),
        ({"threshold": -1}, "threshold"),
        ({"threshold": "high"}, "threshold"),
        ({"maxMatches": 0}, "maxMatches"),
        ({"maxMatches": 101}, "maxMatches"),
        ({"maxMatches": 1.5}, "maxMatches"),
    ],
)
def test_numbers_have_bounds(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        read(as_json(**fields), VerifyRequest)

    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff\xfe", b'{"name": "\\ud800"}', b"NaN"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(request(body), RegisterRequest)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (request(b"", "image/jpeg", name="Ada"), ImageMissing),
        (request(b"hello", "image/jpeg", name="Ada"), UnsupportedImage),
        (request(bytes(10 * 1024 * 1024), "image/png", name="Ada"), ImageTooLarge),
        (request(JPEG, "image/jpeg"), MalformedRequest),
        (request(JPEG, "text/plain", name="Ada"), UnsupportedMediaType),
        (request(JPEG, "application/x-www-form-urlencoded", name="Ada"), UnsupportedMediaType),
    ],
    ids=["empty", "text", "large", "no name", "wrong type", "curl's default type"],
)
def test_a_raw_body_that_cannot_be_used_is_refused(raw: Request, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        read(raw, RegisterRequest)
