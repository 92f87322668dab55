"""The data resources: bucket, table, collection and queue, as ``data.yaml`` describes them."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
import yaml
from botocore.exceptions import ClientError, WaiterError

from chalicelib.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient

TEMPLATE = Path(__file__).with_name("data.yaml")

NAMES = ("BucketName", "TableName", "AuditTableName", "CollectionId", "FailedEventsQueue")
"""The parameters that name resources."""

Report = Callable[[str], None]
"""Tells a person how far it has come."""


class Made(NamedTuple):
    """What became of a stack."""

    outputs: dict[str, str]
    is_new: bool
    """Whether there was none before."""


class StackFailed(Exception):
    """A stack could not be made as its template says; the message tells why."""


class _Loader(yaml.SafeLoader):
    """Reads a template whose functions (``!Ref`` and the like) do not matter."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def properties(resource: str) -> dict[str, Any]:
    """Return what the template says of a resource; None stands for what refers to others."""
    template = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - derived from the safe one
    found: dict[str, Any] = template["Resources"][resource]["Properties"]
    return found


def stack_name(application: str) -> str:
    """Name the stack of an application's data; ``application`` is the API function's name."""
    return f"{application}-data"


def parameters(
    settings: Settings, application: str, stage: str, *, alarms: bool, alarm_email: str = ""
) -> dict[str, str]:
    """Return the template's parameters for a stage."""
    return {
        "Application": application,
        "Stage": stage,
        "MetricsStage": settings.metrics or stage,
        "BucketName": settings.faces_bucket,
        "TableName": settings.faces_table,
        "AuditTableName": settings.faces_audit_table,
        "CollectionId": settings.faces_collection,
        "FailedEventsQueue": settings.failed_events_queue,
        "CorsOrigin": settings.cors_origin,
        "Alarms": str(alarms).lower(),
        "AlarmEmail": alarm_email,
    }


def named(text: str, given: Mapping[str, str]) -> str:
    """Return a template in which the resources' names are written out.

    CloudFormation adopts only resources whose names in the template are literal ones; those that
    functions such as ``!Ref`` give it does not look for.

    Source: "Import AWS resources into a CloudFormation stack automatically" in the CloudFormation
    User Guide.

    Args:
        text: the template.
        given: its parameters.
    """

    def literal(match: "re.Match[str]") -> str:
        name = match[1]
        return json.dumps(given[name]) if name in given else match[0]

    return re.sub(rf"!Ref ({'|'.join(NAMES)})\b", literal, text)


def deploy(
    session: boto3.Session,
    stack: str,
    template: Path,
    given: Mapping[str, str],
    report: Report,
) -> Made:
    """Create or update a stack; what an earlier one has left behind is adopted.

    Args:
        session: of the account and region.
        stack: its name.
        template: the file.
        given: the template's parameters.
        report: is told what happens.

    Returns:
        The stack's outputs, and whether it is new.

    Raises:
        StackFailed: a resource could not be made.
        botocore.exceptions.ClientError: CloudFormation refuses.
    """
    cloudformation = session.client("cloudformation")
    before = _status(cloudformation, stack)
    if before == "ROLLBACK_COMPLETE":  # of which nothing is left, and nothing can be made
        _delete(cloudformation, stack)
        before = None
    is_new = before in (None, "REVIEW_IN_PROGRESS")
    # Of a name of its own: one that a stopped deploy has left would be in the way.
    change_set = f"deploy-{uuid.uuid4()}"
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=change_set,
        ChangeSetType="CREATE" if is_new else "UPDATE",
        TemplateBody=named(template.read_text(), given),
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
        Capabilities=["CAPABILITY_IAM"],
        ImportExistingResources=True,
    )
    try:
        cloudformation.get_waiter("change_set_create_complete").wait(
            StackName=stack,
            ChangeSetName=change_set,
            WaiterConfig={"Delay": 2, "MaxAttempts": 150},
        )
    except WaiterError:
        found = cloudformation.describe_change_set(StackName=stack, ChangeSetName=change_set)
        reason = found.get("StatusReason", "")
        cloudformation.delete_change_set(StackName=stack, ChangeSetName=change_set)
        if "didn't contain changes" not in reason and "No updates" not in reason:
            raise StackFailed(f"{stack}: {reason}") from None
        report(f"{stack}: nothing to change")
        return Made(outputs(session, stack), is_new=False)
    report(f"{stack}: {'creating' if is_new else 'updating'} ...")
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
    waiter: Any = cloudformation.get_waiter(
        "stack_create_complete" if is_new else "stack_update_complete"
    )
    try:
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": 360})
    except WaiterError:
        raise StackFailed(f"{stack}: {_why(cloudformation, stack)}") from None
    report(f"{stack}: {'created' if is_new else 'updated'}")
    return Made(outputs(session, stack), is_new)


def outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    """Return a stack's outputs.

    Raises:
        botocore.exceptions.ClientError: there is no such stack.
    """
    found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def exists(session: boto3.Session, stack: str) -> bool:
    """Say whether a stack is there."""
    return _status(session.client("cloudformation"), stack) is not None


def delete(session: boto3.Session, stack: str) -> None:
    """Delete a stack; the resources that its template retains stay."""
    _delete(session.client("cloudformation"), stack)


def _delete(cloudformation: "CloudFormationClient", stack: str) -> None:
    cloudformation.delete_stack(StackName=stack)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": 360}
    )


def _status(cloudformation: "CloudFormationClient", stack: str) -> str | None:
    try:
        return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise


def _why(cloudformation: "CloudFormationClient", stack: str) -> str:
    """Return what made a stack fail: the first failure of its last run."""
    reasons = []
    for event in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED"):
            reasons.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}")
        is_stack = event["LogicalResourceId"] == stack
        if is_stack and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
            break
    return reasons[-1] if reasons else "it was rolled back without a reason"
