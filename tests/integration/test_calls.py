"""The number of calls to AWS that a request makes: each one costs time and money."""

from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib import clients
from sample_photographs import photograph
from tests.support.service import Service


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """The operations of AWS that the application calls."""
    made: list[str] = []

    def note(model: Any, **kwargs: Any) -> None:
        made.append(model.name)

    all_clients = (clients.s3(), clients.dynamodb(), clients.rekognition())
    for client in all_clients:
        client.meta.events.register("before-call", note)
    yield made
    for client in all_clients:
        client.meta.events.unregister("before-call", note)


def test_a_verify_makes_two_calls(service: Service, calls: list[str]) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.settle()
    for fields in ({}, {"personId": "obama"}):
        calls.clear()
        assert service.verify(photograph("obama2.jpg"), **fields).json()["verified"]
        assert calls == ["SearchFacesByImage", "BatchGetItem"]


def test_a_verify_of_another_person_makes_two_calls(service: Service, calls: list[str]) -> None:
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    service.settle()
    calls.clear()
    service.verify(photograph("biden.jpg"), personId="obama")

    assert calls == ["SearchFacesByImage", "Query"]


def test_a_register_makes_four_calls_at_most(service: Service, calls: list[str]) -> None:
    service.s3.put_bucket_notification_configuration(
        Bucket="facial-recognition-data-bucket", NotificationConfiguration={}
    )
    for _ in range(2):
        calls.clear()
        service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
        assert len(calls) <= 4
    again = ["DetectFaces", "SearchFacesByImage", "PutObject", "GetItem"]
    assert calls == again

    service.post("create-index")
    calls.clear()
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    assert calls == again


def test_a_corrected_name_takes_a_fifth_call(service: Service, calls: list[str]) -> None:
    service.register(photograph("obama.jpg"), name="B. Obama", personId="obama")
    service.settle()
    calls.clear()
    service.register(photograph("obama.jpg"), name="Barack Obama", personId="obama")
    assert calls == ["DetectFaces", "SearchFacesByImage", "PutObject", "GetItem", "PutObject"]


def test_a_registration_without_a_photograph_makes_no_call(
    service: Service, calls: list[str]
) -> None:
    service.register(None, name="Barack Obama")

    assert calls == []
