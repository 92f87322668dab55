"""TagResource, UntagResource and ListTagsForResource."""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def arn(rekognition, collection):
    return rekognition.describe_collection(CollectionId=collection)["CollectionARN"]


def tags(rekognition, arn):
    return rekognition.list_tags_for_resource(ResourceArn=arn)["Tags"]


def test_tags_of_a_new_collection_are_listed(rekognition):
    rekognition.create_collection(CollectionId="club", Tags={"team": "blue", "größe": ""})
    arn = rekognition.describe_collection(CollectionId="club")["CollectionARN"]

    assert tags(rekognition, arn) == {"team": "blue", "größe": ""}


def test_tags_are_added_changed_and_removed(rekognition, arn):
    assert tags(rekognition, arn) == {}

    rekognition.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2", "c": "3"})
    rekognition.tag_resource(ResourceArn=arn, Tags={"b": "two", "d": "4"})
    rekognition.untag_resource(ResourceArn=arn, TagKeys=["a", "never there"])

    assert tags(rekognition, arn) == {"b": "two", "c": "3", "d": "4"}


def test_tags_are_deleted_with_their_collection(rekognition, collection, arn):
    rekognition.tag_resource(ResourceArn=arn, Tags={"a": "1"})
    rekognition.delete_collection(CollectionId=collection)
    rekognition.create_collection(CollectionId=collection)

    assert tags(rekognition, arn) == {}


def test_a_collection_has_no_more_than_200_tags(rekognition, arn):
    rekognition.tag_resource(ResourceArn=arn, Tags={f"tag{n}": "" for n in range(200)})
    rekognition.tag_resource(ResourceArn=arn, Tags={"tag7": "changed"})

    with pytest.raises(rekognition.exceptions.ServiceQuotaExceededException):
        rekognition.tag_resource(ResourceArn=arn, Tags={"one more": ""})
    assert len(tags(rekognition, arn)) == 200


CALLS = [
    ("tag_resource", {"Tags": {"a": "1"}}),
    ("untag_resource", {"TagKeys": ["a"]}),
    ("list_tags_for_resource", {}),
]


@pytest.mark.parametrize(("operation", "parameters"), CALLS)
@pytest.mark.parametrize(
    "other",
    [
        "arn:aws:rekognition:us-east-1:123456789012:collection/nobody",
        "arn:aws:rekognition:eu-west-1:123456789012:collection/people",
        "arn:aws:rekognition:us-east-1:123456789012:streamprocessor/people",
    ],
)
def test_an_unknown_resource_is_not_found(rekognition, arn, operation, parameters, other):
    with pytest.raises(rekognition.exceptions.ResourceNotFoundException):
        getattr(rekognition, operation)(ResourceArn=other, **parameters)


@pytest.mark.parametrize(("operation", "parameters"), CALLS)
def test_an_invalid_arn_is_refused(rekognition, operation, parameters):
    with pytest.raises(rekognition.exceptions.InvalidParameterException):
        getattr(rekognition, operation)(
            ResourceArn="aws:rekognition:us-east-1:123456789012:collection/x", **parameters
        )


def test_a_key_with_the_prefix_aws_is_refused(rekognition, arn):
    with pytest.raises(ClientError, match="ValidationException"):
        rekognition.tag_resource(ResourceArn=arn, Tags={"aws:mine": ""})
