"""CloudFormation's API: change sets, and the stacks that they create and update."""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request

from localaws.account import ACCOUNT_ID, REGION, arn
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.services.cloudformation.protocol import answer
from localaws.services.cloudformation.resource_type import ResourceType
from localaws.services.cloudformation.resources import type_of
from localaws.services.cloudformation.template import PhysicalResource, Template, TemplateError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_RETAINED = ("Retain", "RetainExceptOnCreate")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _invalid(message: str) -> RequestRefused:
    return RequestRefused("ValidationError", message)


@dataclass
class ChangeSet:
    """A planned change of a stack."""

    name: str
    identifier: str
    text: str
    """The template as it was sent."""
    template: Template
    imports: bool
    """Existing resources of the same names become part of the stack."""
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"


@dataclass
class StackEvent:
    """A change of status, of a stack or one of its resources."""

    resource: str
    type: str
    status: str
    reason: str = ""
    number: int = field(default_factory=itertools.count().__next__)
    time: str = field(default_factory=_now)


@dataclass
class Stack:
    """A stack with its resources."""

    name: str
    identifier: str
    text: str = ""
    template: Template | None = None
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, PhysicalResource] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[StackEvent] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    created: str = field(default_factory=_now)

    def note(self, resource: str, type_: str, status: str, reason: str = "") -> None:
        """Record an event."""
        self.events.insert(0, StackEvent(resource, type_, status, reason))


class CloudFormation:
    """Layer that answers CloudFormation.

    A request is answered when its work is done, so that no status is ever "in progress".

    Args:
        session: calls the services of this server.
    """

    def __init__(self, session: boto3.Session) -> None:
        self._session = session
        self._stacks: dict[str, Stack] = {}
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Forget all stacks."""
        with self._lock:
            self._stacks.clear()

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a request to CloudFormation; pass on all others."""
        request = request_of(environ)
        if request.service != "cloudformation":
            return inner(environ, start_response)
        form = Request(environ).form.to_dict()
        action = form.get("Action", "")
        try:
            operation = _OPERATIONS.get(action)
            if operation is None:
                raise RequestRefused("InvalidAction", f"{action} is not supported")
            with self._lock:
                result = operation(self, form)
            response = answer(action, result)
        except TemplateError as error:
            response = error_response(request, _invalid(str(error)))
        except RequestRefused as refused:
            response = error_response(request, refused)
        return response(environ, start_response)

    # --- operations ---

    def create_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Plan a change of a stack by a template."""
        name, kind = form["StackName"], form.get("ChangeSetType", "UPDATE")
        stack = self._find(name)
        if kind == "CREATE":
            if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                raise RequestRefused(
                    "AlreadyExistsException",
                    f"Stack [{stack.name}] already exists and cannot be created again with the "
                    f"changeSet [{form['ChangeSetName']}].",
                )
            stack = stack or Stack(name, _identifier("stack", name))
        elif stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise _invalid(f"Stack [{name}] does not exist")
        elif not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            state = f"{stack.identifier} is in {stack.status} state and can not be updated."
            raise _invalid(f"Stack:{state}")
        if form["ChangeSetName"] in stack.change_sets:
            raise RequestRefused(
                "AlreadyExistsException", f"ChangeSet {form['ChangeSetName']} already exists"
            )
        text = form.get("TemplateBody", "")
        if form.get("UsePreviousTemplate") == "true":
            text = stack.text
        template = Template(text, _parameters(form, stack), _pseudo_parameters(stack))
        for resource in template.resources.values():
            type_of(resource)
        before = stack.template
        change_set = ChangeSet(
            name=form["ChangeSetName"],
            identifier=_identifier("changeSet", form["ChangeSetName"]),
            text=text,
            template=template,
            imports=form.get("ImportExistingResources") == "true",
        )
        if before and (stack.text, before.parameters) == (text, template.parameters):
            change_set.status, change_set.execution = "FAILED", "UNAVAILABLE"
        self._stacks[name] = stack
        stack.change_sets[change_set.name] = change_set
        return {"Id": change_set.identifier, "StackId": stack.identifier}

    def describe_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Describe a change set."""
        stack, change_set = self._change_set(form)
        described: dict[str, Any] = {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.identifier,
            "StackId": stack.identifier,
            "StackName": stack.name,
            "Status": change_set.status,
            "ExecutionStatus": change_set.execution,
        }
        if change_set.status == "FAILED":
            described["StatusReason"] = (
                "The submitted information didn't contain changes. "
                "Submit different information to create a change set."
            )
        return described

    def execute_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Change a stack as planned; on an error undo the change."""
        stack, change_set = self._change_set(form)
        if change_set.execution != "AVAILABLE":
            raise RequestRefused(
                "InvalidChangeSetStatus",
                f"ChangeSet [{change_set.identifier}] cannot be executed in its current status "
                f"of [{change_set.status}]",
            )
        stack.change_sets.clear()
        creating = stack.template is None
        kind = "CREATE" if creating else "UPDATE"
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{kind}_IN_PROGRESS")
        new: list[str] = []
        try:
            self._apply(stack, change_set, new)
        except (BotoCoreError, ClientError, TemplateError, RequestRefused) as error:
            self._roll_back(stack, change_set, new)
            stack.status = "ROLLBACK_COMPLETE" if creating else "UPDATE_ROLLBACK_COMPLETE"
            stack.reason = str(error)
        else:
            stack.text, stack.template = change_set.text, change_set.template
            stack.status, stack.reason = f"{kind}_COMPLETE", ""
        stack.note(stack.name, "AWS::CloudFormation::Stack", stack.status, stack.reason)
        return {}

    def delete_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Forget a change set."""
        stack, change_set = self._change_set(form)
        del stack.change_sets[change_set.name]
        return {}

    def describe_stacks(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Describe one stack, or all."""
        if name := form.get("StackName"):
            stack = self._find(name)
            if stack is None:
                raise _invalid(f"Stack with id {name} does not exist")
            return {"Stacks": [_described(stack)]}
        return {"Stacks": [_described(stack) for stack in self._stacks.values()]}

    def describe_stack_events(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Describe the events of a stack, the newest first."""
        stack = self._find(form["StackName"])
        if stack is None:
            raise _invalid(f"Stack [{form['StackName']}] does not exist")
        events = [
            {
                "StackId": stack.identifier,
                "EventId": f"{event.resource}-{event.number}",
                "StackName": stack.name,
                "LogicalResourceId": event.resource,
                "ResourceType": event.type,
                "Timestamp": event.time,
                "ResourceStatus": event.status,
                **({"ResourceStatusReason": event.reason} if event.reason else {}),
            }
            for event in stack.events
        ]
        return {"StackEvents": events}

    def delete_stack(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Delete a stack, and its resources that are not retained."""
        stack = self._find(form["StackName"])
        if stack is None:
            return {}
        for name in reversed(stack.made):
            assert stack.template is not None
            resource = stack.template.resources[name]
            if resource.get("DeletionPolicy") not in _RETAINED:
                self._type(resource).delete(stack.properties[name])
        del self._stacks[stack.name]
        return {}

    # --- changes ---

    def _apply(self, stack: Stack, change_set: ChangeSet, new: list[str]) -> None:
        """Create, update and delete the resources of a stack; add created ones to ``new``."""
        template, before = change_set.template, stack.template
        made: dict[str, PhysicalResource] = {}
        properties: dict[str, dict[str, Any]] = {}
        for name in template.in_order():
            resource = template.resources[name]
            kind = self._type(resource)
            wanted = template.properties(name, made)
            if kind.identifier:
                made_up = f"{stack.name}-{name}-{stack.identifier[-12:]}".lower()
                wanted = {kind.identifier: made_up, **wanted}
            properties[name] = wanted
            try:
                if name not in stack.made:
                    if self._create_or_adopt(kind, wanted, change_set, resource):
                        new.append(name)
                        stack.properties[name] = wanted
                elif wanted != stack.properties[name]:
                    kind.update(wanted)
                made[name] = kind.describe(wanted)
            except (BotoCoreError, ClientError, RequestRefused) as error:
                stack.note(name, resource["Type"], "CREATE_FAILED", str(error))
                raise
            stack.note(name, resource["Type"], "CREATE_COMPLETE")
        for name in [name for name in reversed(stack.made) if name not in made]:
            assert before is not None
            resource = before.resources[name]
            if resource.get("DeletionPolicy") not in _RETAINED:
                self._type(resource).delete(stack.properties[name])
            stack.note(name, resource["Type"], "DELETE_COMPLETE")
        stack.made, stack.properties = made, properties
        stack.outputs = template.outputs(made)

    def _create_or_adopt(
        self,
        kind: ResourceType,
        wanted: dict[str, Any],
        change_set: ChangeSet,
        resource: Mapping[str, Any],
    ) -> bool:
        """Create a resource, or adopt an existing one if the change set imports resources.

        Returns:
            Whether the resource was created.
        """
        if kind.exists(wanted):
            if not (change_set.imports and _is_adoptable(kind, resource)):
                raise _invalid(f"{resource['Type']} of this name already exists")
            return False  # it stays as it is until its properties in the template change
        kind.create(wanted)
        kind.update(wanted)
        return True

    def _roll_back(self, stack: Stack, change_set: ChangeSet, new: list[str]) -> None:
        """Delete the resources that a failed change has created."""
        for name in reversed(new):
            resource = change_set.template.resources[name]
            if resource.get("DeletionPolicy") != "Retain":
                self._type(resource).delete(stack.properties.pop(name))

    # --- look-ups ---

    def _type(self, resource: Mapping[str, Any]) -> ResourceType:
        return type_of(resource)(self._session)

    def _find(self, name: str) -> Stack | None:
        by_identifier = {stack.identifier: stack for stack in self._stacks.values()}
        return self._stacks.get(name) or by_identifier.get(name)

    def _change_set(self, form: Mapping[str, str]) -> tuple[Stack, ChangeSet]:
        wanted = form["ChangeSetName"]
        for stack in self._stacks.values():
            for change_set in stack.change_sets.values():
                if wanted == change_set.identifier or (
                    wanted == change_set.name
                    and form.get("StackName") in (stack.name, stack.identifier)
                ):
                    return stack, change_set
        raise RequestRefused("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist")


def _parameters(form: Mapping[str, str], stack: Stack) -> dict[str, str]:
    """Return the values of parameters in a request; a request may keep former values."""
    before = stack.template.parameters if stack.template else {}
    given: dict[str, str] = {}
    for number in itertools.count(1):
        prefix = f"Parameters.member.{number}."
        if f"{prefix}ParameterKey" not in form:
            break
        name = form[f"{prefix}ParameterKey"]
        if form.get(f"{prefix}UsePreviousValue") == "true":
            given[name] = before[name]
        else:
            given[name] = form[f"{prefix}ParameterValue"]
    return given


def _pseudo_parameters(stack: Stack) -> dict[str, str]:
    return {
        "AWS::AccountId": ACCOUNT_ID,
        "AWS::Region": REGION,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": stack.name,
        "AWS::StackId": stack.identifier,
    }


def _identifier(kind: str, name: str) -> str:
    return arn("cloudformation", f"{kind}/{name}/{uuid4()}")


def _is_adoptable(kind: ResourceType, resource: Mapping[str, Any]) -> bool:
    """Return whether CloudFormation would adopt an existing resource of this name.

    The name must be the resource's identifier, and a literal in the template. Results of functions
    such as ``Ref`` do not count, nor do identifiers that AWS makes up.

    Source: "Import AWS resources into a CloudFormation stack automatically" in the CloudFormation
    User Guide.
    """
    name = resource.get("Properties", {}).get(kind.identifier)
    return isinstance(name, str) and resource.get("DeletionPolicy") in _RETAINED


_OPERATIONS: dict[str, Callable[[CloudFormation, Mapping[str, str]], dict[str, Any]]] = {
    "CreateChangeSet": CloudFormation.create_change_set,
    "DescribeChangeSet": CloudFormation.describe_change_set,
    "ExecuteChangeSet": CloudFormation.execute_change_set,
    "DeleteChangeSet": CloudFormation.delete_change_set,
    "DescribeStacks": CloudFormation.describe_stacks,
    "DescribeStackEvents": CloudFormation.describe_stack_events,
    "DeleteStack": CloudFormation.delete_stack,
}


def _described(stack: Stack) -> dict[str, Any]:
    parameters = stack.template.parameters if stack.template else {}
    return {
        "StackName": stack.name,
        "StackId": stack.identifier,
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        **({"StackStatusReason": stack.reason} if stack.reason else {}),
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
        ],
        "Outputs": [
            {"OutputKey": name, "OutputValue": value} for name, value in stack.outputs.items()
        ],
    }
