"""Grants that a policy holds and nobody needs."""

from typing import Any

from localaws.services.iam.grants import Grant, not_needed
from localaws.services.iam.permissions import Need
from localaws.services.iam.policies import Policy


def test_a_grant_too_many_and_one_too_few_are_found() -> None:
    document: Any = {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
            }
        ]
    }
    asked = [Need("s3:GetObject", "arn:aws:s3:::a/1"), Need("s3:GetObject", "arn:aws:s3:::b/1")]

    assert not_needed(document, asked) == [
        Grant("s3:PutObject", "arn:aws:s3:::a/*"),
        Grant("s3:PutObject", "arn:aws:s3:::b/*"),
    ]
    assert not Policy.parse(document).allows("s3:DeleteObject", "arn:aws:s3:::a/1")
