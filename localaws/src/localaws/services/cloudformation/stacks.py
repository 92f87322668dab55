"""CloudFormation's API: change sets, and the stacks that they make."""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from werkzeug.wrappers import Request, Response

from localaws.services.cloudformation.resources import ResourceType, type_of
from localaws.services.cloudformation.template import MadeResource, Template, TemplateError
from localaws.signatures import service_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_RETAINED = ("Retain", "RetainExceptOnCreate")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class CloudFormationError(Exception):
    """A request that is refused."""

    def __init__(self, message: str, code: str = "ValidationError") -> None:
        """Take the words and AWS's code."""
        super().__init__(message)
        self.code = code


@dataclass
class ChangeSet:
    """What is going to be made of a stack."""

    name: str
    identifier: str
    text: str
    """Of the template."""
    template: Template
    imports: bool
    """Whether resources that are there already are adopted."""
    status: str = "CREATE_COMPLETE"
    execution: str = "AVAILABLE"


@dataclass
class StackEvent:
    """Something that happened to a stack or one of its resources."""

    resource: str
    type: str
    status: str
    reason: str = ""
    number: int = field(default_factory=itertools.count().__next__)
    time: str = field(default_factory=_now)


@dataclass
class Stack:
    """A stack: its resources and what they were made from."""

    name: str
    identifier: str
    text: str = ""
    template: Template | None = None
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    made: dict[str, MadeResource] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    events: list[StackEvent] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    created: str = field(default_factory=_now)

    def note(self, resource: str, type_: str, status: str, reason: str = "") -> None:
        """Keep an event."""
        self.events.insert(0, StackEvent(resource, type_, status, reason))


class CloudFormation:
    """WSGI middleware that answers CloudFormation; all other requests go on to moto.

    A request is answered when its work is done, so that no status is ever "in progress".
    """

    def __init__(self, app: "WSGIApplication", session: boto3.Session, account_id: str) -> None:
        """Take moto's application, a session of this server, and its account."""
        self._app = app
        self._session = session
        self._account_id = account_id
        self._stacks: dict[str, Stack] = {}
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Forget all stacks."""
        with self._lock:
            self._stacks.clear()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request to CloudFormation; pass on all others."""
        if service_of(environ) != "cloudformation":
            return self._app(environ, start_response)
        form = Request(environ).form.to_dict()
        action = form.get("Action", "")
        try:
            operation = _OPERATIONS.get(action)
            if operation is None:
                raise CloudFormationError(f"{action} is not there", "InvalidAction")
            with self._lock:
                answer = operation(self, form)
            response = _answer(f"{action}Response", f"{action}Result", answer)
        except (CloudFormationError, TemplateError) as error:
            response = _error(getattr(error, "code", "ValidationError"), str(error))
        return response(environ, start_response)

    # --- operations ---

    def create_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Say what a template would make of a stack."""
        name, kind = form["StackName"], form.get("ChangeSetType", "UPDATE")
        stack = self._find(name)
        if kind == "CREATE":
            if stack is not None and stack.status != "REVIEW_IN_PROGRESS":
                raise CloudFormationError(
                    f"Stack [{stack.name}] already exists and cannot be created again with the "
                    f"changeSet [{form['ChangeSetName']}].",
                    "AlreadyExistsException",
                )
            stack = stack or Stack(name, self._arn("stack", name))
        elif stack is None or stack.status == "REVIEW_IN_PROGRESS":
            raise CloudFormationError(f"Stack [{name}] does not exist")
        elif not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            state = f"{stack.identifier} is in {stack.status} state and can not be updated."
            raise CloudFormationError(f"Stack:{state}")
        if form["ChangeSetName"] in stack.change_sets:
            raise CloudFormationError(
                f"ChangeSet {form['ChangeSetName']} already exists", "AlreadyExistsException"
            )
        text = form.get("TemplateBody", "")
        if form.get("UsePreviousTemplate") == "true":
            text = stack.text
        template = Template(text, self._parameters(form, stack), self._pseudo(stack))
        for resource in template.resources.values():
            type_of(resource)
        before = stack.template
        change_set = ChangeSet(
            name=form["ChangeSetName"],
            identifier=self._arn("changeSet", form["ChangeSetName"]),
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
        """Tell of a change set."""
        stack, change_set = self._change_set(form)
        answer: dict[str, Any] = {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.identifier,
            "StackId": stack.identifier,
            "StackName": stack.name,
            "Status": change_set.status,
            "ExecutionStatus": change_set.execution,
        }
        if change_set.status == "FAILED":
            answer["StatusReason"] = (
                "The submitted information didn't contain changes. "
                "Submit different information to create a change set."
            )
        return answer

    def execute_change_set(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Make of a stack what a change set says."""
        stack, change_set = self._change_set(form)
        if change_set.execution != "AVAILABLE":
            raise CloudFormationError(
                f"ChangeSet [{change_set.identifier}] cannot be executed in its current status "
                f"of [{change_set.status}]",
                "InvalidChangeSetStatus",
            )
        stack.change_sets.clear()
        creating = stack.template is None
        kind = "CREATE" if creating else "UPDATE"
        stack.note(stack.name, "AWS::CloudFormation::Stack", f"{kind}_IN_PROGRESS")
        new: list[str] = []
        try:
            self._work_off(stack, change_set, new)
        except (BotoCoreError, ClientError, TemplateError, CloudFormationError) as error:
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
        """Tell of one stack or of all."""
        if name := form.get("StackName"):
            stack = self._find(name)
            if stack is None:
                raise CloudFormationError(f"Stack with id {name} does not exist")
            return {"Stacks": [_described(stack)]}
        return {"Stacks": [_described(stack) for stack in self._stacks.values()]}

    def describe_stack_events(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Tell what happened to a stack, the last first."""
        stack = self._find(form["StackName"])
        if stack is None:
            raise CloudFormationError(f"Stack [{form['StackName']}] does not exist")
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
        """Take a stack away, with those of its resources that are not retained."""
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

    # --- making ---

    def _work_off(self, stack: Stack, change_set: ChangeSet, new: list[str]) -> None:
        template, before = change_set.template, stack.template
        made: dict[str, MadeResource] = {}
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
                    if self._begin(kind, wanted, change_set, resource):
                        new.append(name)
                        stack.properties[name] = wanted
                elif wanted != stack.properties[name]:
                    kind.update(wanted)
                made[name] = kind.made(wanted)
            except (BotoCoreError, ClientError, CloudFormationError) as error:
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

    def _begin(
        self,
        kind: ResourceType,
        wanted: dict[str, Any],
        change_set: ChangeSet,
        resource: Mapping[str, Any],
    ) -> bool:
        """Make a resource, or adopt the one that is there where that is asked for.

        Returns:
            Whether it was made.
        """
        if kind.exists(wanted):
            if not (change_set.imports and _is_adoptable(kind, resource)):
                raise CloudFormationError(f"{resource['Type']} of this name already exists")
            return False  # as it is: what the template says of it is applied when that changes
        kind.create(wanted)
        kind.update(wanted)
        return True

    def _roll_back(self, stack: Stack, change_set: ChangeSet, new: list[str]) -> None:
        """Take away what a change set has made before it failed."""
        for name in reversed(new):
            resource = change_set.template.resources[name]
            if resource.get("DeletionPolicy") != "Retain":
                self._type(resource).delete(stack.properties.pop(name))

    # --- finding ---

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
        raise CloudFormationError(f"ChangeSet [{wanted}] does not exist", "ChangeSetNotFound")

    def _parameters(self, form: Mapping[str, str], stack: Stack) -> dict[str, str]:
        before = stack.template.parameters if stack.template else {}
        given: dict[str, str] = {}
        for number in itertools.count(1):
            prefix = f"Parameters.member.{number}."
            if f"{prefix}ParameterKey" not in form:
                return given
            name = form[f"{prefix}ParameterKey"]
            if form.get(f"{prefix}UsePreviousValue") == "true":
                given[name] = before[name]
            else:
                given[name] = form[f"{prefix}ParameterValue"]
        raise AssertionError("counting has no end")

    def _pseudo(self, stack: Stack) -> dict[str, str]:
        return {
            "AWS::AccountId": self._account_id,
            "AWS::Region": self._session.region_name,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack.name,
            "AWS::StackId": stack.identifier,
        }

    def _arn(self, kind: str, name: str) -> str:
        region = self._session.region_name
        return f"arn:aws:cloudformation:{region}:{self._account_id}:{kind}/{name}/{uuid4()}"


def _is_adoptable(kind: ResourceType, resource: Mapping[str, Any]) -> bool:
    """Say whether CloudFormation looks for a resource of this name that is there already.

    Its name has to be its identifier and a literal one in the template: what functions such as
    ``Ref`` give does not count, nor does an identifier that AWS makes up.

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


# --- the query protocol ---------------------------------------------------------------------


def _answer(root: str, result: str, content: Mapping[str, Any]) -> Response:
    response = Element(root, xmlns=_NAMESPACE)
    _write(SubElement(response, result), content)
    metadata = SubElement(response, "ResponseMetadata")
    SubElement(metadata, "RequestId").text = str(uuid4())
    return Response(tostring(response), content_type="text/xml")


def _write(element: Element, content: Any) -> None:
    if isinstance(content, Mapping):
        for name, value in content.items():
            _write(SubElement(element, name), value)
    elif isinstance(content, list):
        for value in content:
            _write(SubElement(element, "member"), value)
    else:
        element.text = str(content)


def _error(code: str, message: str) -> Response:
    response = Element("ErrorResponse", xmlns=_NAMESPACE)
    _write(response, {"Error": {"Type": "Sender", "Code": code, "Message": message}})
    SubElement(response, "RequestId").text = str(uuid4())
    return Response(tostring(response), 400, content_type="text/xml")
