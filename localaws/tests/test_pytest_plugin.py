"""The fixture for other projects' tests: used here as they use it."""

import os

import boto3
import pytest

from sample_photographs import photograph


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_begins_with_nothing(rekognition, number):
    assert rekognition.list_collections()["CollectionIds"] == []
    rekognition.create_collection(CollectionId="club")

    (face,) = rekognition.detect_faces(Image={"Bytes": photograph("obama.jpg")})["FaceDetails"]
    assert face["Confidence"] > 99


def test_clients_that_code_makes_itself_come_here_too(rekognition, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    own = boto3.client("rekognition", region_name="us-east-1")

    own.create_collection(CollectionId="club")

    assert rekognition.list_collections()["CollectionIds"] == ["club"]
    assert own.meta.endpoint_url == os.environ["AWS_ENDPOINT_URL_REKOGNITION"]
