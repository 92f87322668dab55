"""Evaluation of policies: an element that is not understood is an error, never ignored."""

from typing import Any

import pytest

from localaws.services.iam.policies import Context, Policy, PolicyNotUnderstood

OBJECT = "arn:aws:s3:::bucket/faces/a/1.jpg"


def allows(*statements: Any, action: str = "s3:GetObject", resource: str = OBJECT) -> bool:
    return Policy.parse({"Statement": list(statements)}).allows(action, resource)


def statement(**members: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", **members}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, True),
        ({"Action": "s3:getobject"}, True),
        ({"Action": ["s3:PutObject", "s3:Get*"]}, True),
        ({"Action": "s3:GetObjectVersion"}, False),
        ({"Action": "s3:GetObjec?"}, True),
        ({"Resource": "arn:aws:s3:::bucket/faces/*"}, True),
        ({"Resource": "arn:aws:s3:::bucket/FACES/*"}, False),
        ({"Resource": "arn:aws:s3:::bucket"}, False),
        ({"Resource": "arn:aws:s3:::bucket.faces/*"}, False),
        ({"Resource": ["arn:aws:s3:::other/*", OBJECT]}, True),
    ],
)
def test_actions_and_resources_are_patterns(members: dict[str, Any], expected: bool) -> None:
    assert allows(statement(**members)) is expected


def test_what_is_not_allowed_is_denied_and_deny_goes_before_allow() -> None:
    assert not allows()
    assert not allows(statement(), statement(Effect="Deny", Resource=OBJECT))
    assert allows(statement(), statement(Effect="Deny", Resource="arn:aws:s3:::other/*"))


def test_the_others_can_be_meant() -> None:
    others = {"Effect": "Allow", "NotAction": "s3:Put*", "NotResource": "arn:aws:s3:::secret/*"}

    assert allows(others)
    assert not allows(others, action="s3:PutObject")
    assert not allows(others, resource="arn:aws:s3:::secret/1")


@pytest.mark.parametrize(
    "members",
    [
        {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {"Condition": {"StringEquals": {"aws:username": "ada"}}},
        {"Resource": "arn:aws:s3:::bucket/${aws:username}/*"},
        {"Effect": "Perhaps"},
        {"Action": []},
        {"Resource": []},
        {"Actions": "s3:*"},
    ],
)
def test_what_is_not_understood_is_an_error(members: dict[str, Any]) -> None:
    with pytest.raises(PolicyNotUnderstood):
        allows(statement(**members))


def test_a_policy_of_a_resource_asks_who_calls_and_for_whom() -> None:
    policy = Policy.parse(
        {
            "Statement": {
                **statement(Action="lambda:InvokeFunction"),
                "Principal": {"Service": "apigateway.amazonaws.com"},
                "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:execute-api:*:*:api/*/GET/*"}},
            }
        }
    )

    def may(service: str, method: str) -> bool:
        source = f"arn:aws:execute-api:us-east-1:123456789012:api/stage/{method}/a:b"
        context = Context(service, {"aws:sourcearn": source})
        return policy.allows("lambda:InvokeFunction", "arn", context)

    assert may("apigateway.amazonaws.com", "GET")
    assert not may("apigateway.amazonaws.com", "POST")
    assert not may("s3.amazonaws.com", "GET")
