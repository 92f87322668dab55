"""Create, describe, list and delete collections."""

import datetime

import pytest
from botocore.exceptions import ClientError


def test_a_new_collection_is_empty_and_has_an_arn(rekognition):
    made = rekognition.create_collection(CollectionId="club", Tags={"team": "blue"})
    described = rekognition.describe_collection(CollectionId="club")

    assert made["StatusCode"] == 200
    assert made["FaceModelVersion"] == described["FaceModelVersion"] == "7.0"
    assert made["CollectionArn"] == "aws:rekognition:us-east-1:123456789012:collection/club"
    assert described["CollectionARN"] == f"arn:{made['CollectionArn']}"
    assert described["FaceCount"] == described["UserCount"] == 0
    age = datetime.datetime.now(datetime.UTC) - described["CreationTimestamp"]
    assert abs(age.total_seconds()) < 60


def test_a_collection_is_not_created_twice(rekognition, collection):
    with pytest.raises(rekognition.exceptions.ResourceAlreadyExistsException) as refused:
        rekognition.create_collection(CollectionId=collection)

    assert f"The collection id: {collection} already exists" in str(refused.value)


@pytest.mark.parametrize("key", ["a{b}", "x" * 129])
def test_tags_follow_the_service_model(rekognition, key):
    with pytest.raises(ClientError, match="ValidationException"):
        rekognition.create_collection(CollectionId="club", Tags={key: "Größe 1"})

    rekognition.create_collection(CollectionId="club", Tags={"größe": "é 1_.:/=+-@"})


def test_names_of_collections_are_case_sensitive(rekognition, collection):
    rekognition.create_collection(CollectionId=collection.upper())

    assert len(rekognition.list_collections()["CollectionIds"]) == 2


def test_a_deleted_collection_is_gone(rekognition, collection):
    assert rekognition.delete_collection(CollectionId=collection)["StatusCode"] == 200

    assert rekognition.list_collections()["CollectionIds"] == []


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("describe_collection", {}),
        ("delete_collection", {}),
        ("list_faces", {}),
        ("index_faces", {"Image": {"Bytes": b"unread"}}),
        ("search_faces_by_image", {"Image": {"Bytes": b"unread"}}),
        ("search_faces", {"FaceId": "11111111-2222-4333-8444-555555555555"}),
        ("delete_faces", {"FaceIds": ["11111111-2222-4333-8444-555555555555"]}),
    ],
)
def test_an_unknown_collection_is_reported(rekognition, operation, parameters):
    with pytest.raises(rekognition.exceptions.ResourceNotFoundException) as refused:
        getattr(rekognition, operation)(CollectionId="nobody", **parameters)

    assert "The collection id: nobody does not exist" in str(refused.value)


def test_collections_are_listed_in_pages(rekognition):
    names = [f"club-{number}" for number in range(5)]
    for name in names:
        rekognition.create_collection(CollectionId=name)

    pages = list(rekognition.get_paginator("list_collections").paginate(MaxResults=2))

    assert [page["CollectionIds"] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert [page["FaceModelVersions"] for page in pages] == [["7.0"] * 2, ["7.0"] * 2, ["7.0"]]


def test_a_full_last_page_has_no_token(rekognition, collection):
    assert "NextToken" not in rekognition.list_collections(MaxResults=1)


@pytest.mark.parametrize("token", ["nonsense", "AAAA", "ünsinn"])
def test_a_made_up_token_is_refused(rekognition, collection, token):
    with pytest.raises(rekognition.exceptions.InvalidPaginationTokenException):
        rekognition.list_collections(NextToken=token)


def test_a_token_of_another_list_is_refused(rekognition, collection):
    rekognition.create_collection(CollectionId="more")
    token = rekognition.list_collections(MaxResults=1)["NextToken"]

    with pytest.raises(rekognition.exceptions.InvalidPaginationTokenException):
        rekognition.list_faces(CollectionId=collection, NextToken=token)


@pytest.mark.parametrize("name", ["with space", "å", "slash/ed"])
def test_a_name_outside_the_pattern_is_refused(rekognition, name):
    with pytest.raises(ClientError) as refused:
        rekognition.create_collection(CollectionId=name)

    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": f"1 validation error detected: Value '{name}' at 'collectionId' failed to "
        "satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.\\-]+",
    }
