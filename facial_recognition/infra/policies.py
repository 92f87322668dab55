"""The policies of a stage's functions: which resources they name, and what they allow."""

import re
from typing import Any

from chalicelib.settings import Settings

Policy = dict[str, Any]
"""An IAM policy document."""

_TRACES = "Traces"
_PHOTOGRAPHS_NOT_KEPT = "PhotographsNotKept"


class ResourceNames:
    """The names that the ARNs in a stage's policies need."""

    def __init__(self, settings: Settings, account: str, region: str) -> None:
        """Collect the names.

        Args:
            settings: of the stage.
            account: id of the account to which the stage is deployed.
            region: the region to which it is deployed.
        """
        self.account = account
        self.region = region
        self.bucket = settings.faces_bucket
        self.tables = {
            "Records": settings.faces_table,
            "RecordsOfAPerson": settings.faces_table,
            "AuditTrail": settings.faces_audit_table,
        }
        """By the ``Sid`` of the statements about them."""
        self.collection = settings.faces_collection
        self.queue = settings.failed_events_queue


def with_names_of(policy: Policy, names: ResourceNames, function: str) -> Policy:
    """Return a policy whose ARNs name the resources of one stage and no others.

    Args:
        policy: a policy, whose ARNs may name the resources of any stage.
        names: the names of the stage's resources.
        function: the name of the function that gets the policy.
    """

    def statement(given: dict[str, Any]) -> dict[str, Any]:
        arns, sid = given["Resource"], given["Sid"]
        changed: Any = (
            _with_name(arns, sid, names, function)
            if isinstance(arns, str)
            else [_with_name(arn, sid, names, function) for arn in arns]
        )
        return {**given, "Resource": changed}

    return {**policy, "Statement": [statement(given) for given in policy["Statement"]]}


def _with_name(arn: str, sid: str, names: ResourceNames, function: str) -> str:
    if arn == "*":
        return arn
    _, partition, service, _, _, resource = arn.split(":", 5)
    where = f"{names.region}:{names.account}"
    match service:
        case "s3":
            resource = re.sub(r"^[^/]+", names.bucket, resource)
            where = ":"
        case "dynamodb":
            resource = re.sub(r"^table/[^/]+", f"table/{names.tables[sid]}", resource)
        case "rekognition":
            resource = f"collection/{names.collection}"
        case "sqs":
            resource = names.queue
        case "logs":
            group = f"log-group:/aws/lambda/{function}"
            resource = re.sub(r"^log-group:/aws/lambda/[^:*]+", group, resource)
        case _:
            raise ValueError(f"{arn}: it is not known how a stage names resources of {service}")
    return f"arn:{partition}:{service}:{where}:{resource}"


def allow_tracing(policy: Policy, *, wanted: bool) -> Policy:
    """Return a policy with or without the right to send traces to X-Ray.

    Only a stage with ``"xray": true`` needs this right. X-Ray has no resources to narrow it to.
    """
    kept = [s for s in policy["Statement"] if s["Sid"] != _TRACES]
    added: dict[str, Any] = {
        "Sid": _TRACES,
        "Effect": "Allow",
        "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
        "Resource": "*",
    }
    return {**policy, "Statement": [*kept, *([added] if wanted else [])]}


def allow_deleting_photographs(policy: Policy, names: ResourceNames, *, wanted: bool) -> Policy:
    """Return a policy with or without the right to replace and delete photographs.

    Only a stage that keeps no photographs (``KEEP_PHOTOGRAPHS=0``) needs this right: its functions
    put a placeholder in the place of a photograph, and delete the photograph's versions.
    """
    kept = [s for s in policy["Statement"] if not s["Sid"].startswith(_PHOTOGRAPHS_NOT_KEPT)]
    bucket = f"arn:aws:s3:::{names.bucket}"
    added: list[dict[str, Any]] = [
        {
            "Sid": _PHOTOGRAPHS_NOT_KEPT,
            "Effect": "Allow",
            "Action": ["s3:DeleteObjectVersion", "s3:PutObject"],
            "Resource": f"{bucket}/faces/*",
        },
        {
            "Sid": f"{_PHOTOGRAPHS_NOT_KEPT}List",
            "Effect": "Allow",
            "Action": "s3:ListBucketVersions",
            "Resource": bucket,
        },
    ]
    return {**policy, "Statement": [*kept, *(added if wanted else [])]}
