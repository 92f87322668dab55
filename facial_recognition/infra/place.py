"""The account and region of a deploy, and the bucket name that they lead to."""

from typing import NamedTuple

import boto3

from facial_recognition.infra.errors import DeployError

_LONGEST_BUCKET = 63


class Place(NamedTuple):
    """The account and region that a stage is deployed to."""

    account: str
    region: str


def locate(session: boto3.Session) -> Place:
    """Return the account and region that a session calls.

    Raises:
        DeployError: the region has no Rekognition.
        botocore.exceptions.ClientError: AWS refuses the credentials.
    """
    account = session.client("sts").get_caller_identity()["Account"]
    region = session.region_name
    known = session.get_available_regions("rekognition")
    if region not in known:
        raise DeployError(
            f"There is no Rekognition in {region}. Take one of these regions: {', '.join(known)}."
        )
    return Place(account, region)


def bucket_name(app: str, stage: str, place: Place) -> str:
    """Return the name of the bucket for a stage's photographs.

    Bucket names are globally unique, so the account and the region are part of the name.

    Raises:
        DeployError: the name would be too long.
    """
    name = f"{app}-{stage}-data-{place.account}-{place.region}"
    if len(name) > _LONGEST_BUCKET:
        longest = _LONGEST_BUCKET - len(name) + len(stage)
        raise DeployError(
            f"The stage name {stage} is too long, because the bucket's name contains it. In"
            f" {place.region} it may have {longest} characters."
        )
    return name
