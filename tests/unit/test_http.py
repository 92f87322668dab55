"""Requests are read, or refused with the name of the bad field."""

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
from chalicelib.http import read_request
from chalicelib.messages import CreateIndexRequest, RegisterRequest, VerifyRequest
from tests.support.images import JPEG
from tests.support.requests import gateway_request, json_request

CURLS_DEFAULT = "application/x-www-form-urlencoded"


def test_json_is_read() -> None:
    asked = read_request(json_request(name="  Ada Lovelace ", personId="ada"), RegisterRequest)

    assert (asked.name, asked.person_id, asked.image) == ("Ada Lovelace", "ada", None)


def test_a_raw_photograph_is_read_with_query_parameters() -> None:
    raw = gateway_request(JPEG, "image/jpeg", personId="ada", threshold="97.5", maxMatches="3")

    asked = read_request(raw, VerifyRequest)

    assert asked.image is not None
    assert asked.image.data == JPEG
    assert (asked.person_id, asked.threshold, asked.max_matches) == ("ada", 97.5, 3)


def test_a_body_without_a_type_and_an_empty_body_are_json() -> None:
    untyped = gateway_request(b'{"personId": "ada"}', None)

    assert read_request(untyped, CreateIndexRequest).person_id == "ada"
    assert read_request(gateway_request(b""), CreateIndexRequest).person_id is None


@pytest.mark.parametrize("name", ["آدا لوفليس", "李小龍", "Þórunn", "🙂", "O'Neil-Núñez Jr."])
def test_a_name_may_be_in_any_script(name: str) -> None:
    assert read_request(json_request(name=name), RegisterRequest).name == name


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
        read_request(json_request(**fields), RegisterRequest)

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
        read_request(json_request(**fields), VerifyRequest)

    assert [error.field for error in refused.value.errors] == [field]


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff\xfe", b'{"name": "\\ud800"}', b"NaN"])
def test_other_bodies_than_json_objects_are_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_request(gateway_request(body), RegisterRequest)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (gateway_request(b"", "image/jpeg", name="Ada"), ImageMissing),
        (gateway_request(b"hello", "image/jpeg", name="Ada"), UnsupportedImage),
        (gateway_request(bytes(10 * 1024 * 1024), "image/png", name="Ada"), ImageTooLarge),
        (gateway_request(JPEG, "image/jpeg"), MalformedRequest),
        (gateway_request(JPEG, "text/plain", name="Ada"), UnsupportedMediaType),
        (
            gateway_request(JPEG, "application/x-www-form-urlencoded", name="Ada"),
            UnsupportedMediaType,
        ),
    ],
    ids=["empty", "text", "large", "no name", "wrong type", "curl's default type"],
)
def test_unusable_raw_bodies_are_refused(raw: Request, problem: type[Problem]) -> None:
    with pytest.raises(problem):
        read_request(raw, RegisterRequest)
