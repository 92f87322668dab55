"""The data resources of a stage, as ``data.yaml`` describes them: bucket, tables, collection and
queue.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import yaml

from chalicelib.settings import Settings
from facial_recognition.infra import stacks
from facial_recognition.infra.reporting import Report
from facial_recognition.infra.stacks import DeployedStack

TEMPLATE = Path(__file__).with_name("data.yaml")

NAMES = ("BucketName", "TableName", "AuditTableName", "CollectionId", "FailedEventsQueue")
"""The parameters that name resources."""


class _Loader(yaml.SafeLoader):
    """Reads a template, and None for each function of CloudFormation (``!Ref`` and others)."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def properties(resource: str) -> dict[str, Any]:
    """Return the properties of a resource in the template, with None for references to others."""
    template = yaml.load(TEMPLATE.read_text(), _Loader)  # noqa: S506 - derived from the safe one
    found: dict[str, Any] = template["Resources"][resource]["Properties"]
    return found


def stack_name(application: str) -> str:
    """Return the name of an application's data stack.

    Args:
        application: the name of the API's function.
    """
    return f"{application}-data"


def parameters(
    settings: Settings, application: str, stage: str, *, alarms: bool, alarm_email: str = ""
) -> dict[str, str]:
    """Return the template's parameters for a stage.

    Args:
        settings: of the stage; they name the resources.
        application: the name of the API's function.
        stage: the name of API Gateway's stage.
        alarms: whether there are alarms and a dashboard.
        alarm_email: address that alarms are sent to; none are sent where it is empty.
    """
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


def with_literal_names(text: str, given: Mapping[str, str]) -> str:
    """Return a template with the resources' names instead of references to the parameters.

    CloudFormation adopts a resource only where the template gives its name as a literal.

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
    session: boto3.Session, stack: str, given: Mapping[str, str], report: Report
) -> DeployedStack:
    """Create or update the data stack, and adopt data that an earlier one retained.

    Args:
        session: of the account and region.
        stack: the stack's name.
        given: the template's parameters.
        report: called with each line for the operator.

    Raises:
        facial_recognition.infra.stacks.StackFailed: a resource could not be made.
        botocore.exceptions.ClientError: CloudFormation refuses a call.
    """
    template = with_literal_names(TEMPLATE.read_text(), given)
    return stacks.deploy(session, stack, template, given, report)
