"""CloudFormation stacks: create, update, read and delete them."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.exceptions import ClientError, WaiterError

from facial_recognition.infra.errors import DeployError
from facial_recognition.infra.reporting import Report

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient


class StackFailed(DeployError):
    """A stack could not be made as its template says; the message gives the reason."""


class DeployedStack(NamedTuple):
    """The result of deploying a stack."""

    outputs: dict[str, str]
    is_new: bool
    """Whether the stack was created, rather than updated."""


def deploy(
    session: boto3.Session,
    stack: str,
    template: str,
    parameters: Mapping[str, str],
    report: Report,
) -> DeployedStack:
    """Create or update a stack, and adopt resources that an earlier stack retained.

    Args:
        session: of the account and region.
        stack: its name.
        template: the text of the template. It must name the resources to adopt by literals.
        parameters: the template's parameters.
        report: called with each line for the operator.

    Raises:
        StackFailed: a resource could not be made.
        botocore.exceptions.ClientError: CloudFormation refuses a call.
    """
    cloudformation = session.client("cloudformation")
    before = _status(cloudformation, stack)
    if before == "ROLLBACK_COMPLETE":  # it has no resources, and CloudFormation cannot update it
        _delete(cloudformation, stack)
        before = None
    is_new = before in (None, "REVIEW_IN_PROGRESS")
    # A unique name, so that the change set of a stopped deploy is not in the way.
    change_set = f"deploy-{uuid.uuid4()}"
    cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=change_set,
        ChangeSetType="CREATE" if is_new else "UPDATE",
        TemplateBody=template,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
        ImportExistingResources=True,
    )
    if not _has_changes(cloudformation, stack, change_set):
        report(f"{stack}: nothing to change")
        return DeployedStack(outputs(session, stack), is_new=False)
    report(f"{stack}: {'creating' if is_new else 'updating'} ...")
    cloudformation.execute_change_set(StackName=stack, ChangeSetName=change_set)
    waiter: Any = cloudformation.get_waiter(
        "stack_create_complete" if is_new else "stack_update_complete"
    )
    try:
        waiter.wait(StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": 360})
    except WaiterError:
        raise StackFailed(f"{stack}: {_reason_of_failure(cloudformation, stack)}") from None
    report(f"{stack}: {'created' if is_new else 'updated'}")
    return DeployedStack(outputs(session, stack), is_new)


def _has_changes(cloudformation: "CloudFormationClient", stack: str, change_set: str) -> bool:
    """Wait until a change set is made, and return whether it has changes; delete an empty one.

    Raises:
        StackFailed: the change set could not be made.
    """
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
        return False
    return True


def outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    """Return a stack's outputs.

    Raises:
        botocore.exceptions.ClientError: there is no such stack.
    """
    found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def exists(session: boto3.Session, stack: str) -> bool:
    """Return whether a stack exists."""
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


def _reason_of_failure(cloudformation: "CloudFormationClient", stack: str) -> str:
    """Return the first failure of a stack's last run: the others follow from it."""
    reasons = []
    for event in cloudformation.describe_stack_events(StackName=stack)["StackEvents"]:
        if event["ResourceStatus"].endswith("_FAILED"):
            reasons.append(f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}")
        is_stack = event["LogicalResourceId"] == stack
        if is_stack and event["ResourceStatus"] in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS"):
            break
    return reasons[-1] if reasons else "CloudFormation rolled it back and gave no reason"
