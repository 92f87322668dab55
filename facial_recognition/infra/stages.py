"""The stages of the application, as ``.chalice/config.json`` describes them."""

import json
import os
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from chalicelib.settings import Settings
from facial_recognition.checkout import ROOT

CONFIG = ROOT / ".chalice" / "config.json"

API = "api_handler"
"""Chalice's name of the function that answers HTTP requests."""
FORGET = "forget_unverified"
"""The function that runs daily, where the stage forgets persons who were not verified for long."""
_MODEL = "prod"
"""The stage that a new one is made like."""


class UnknownStage(Exception):
    """There is no such stage in the configuration."""


class Stage:
    """One stage: its part of the configuration, its policy files, and its functions' names."""

    def __init__(self, name: str, directory: Path = CONFIG.parent) -> None:
        """Read a stage.

        Args:
            name: the stage's.
            directory: the project's folder ``.chalice``.

        Raises:
            UnknownStage: there is none of that name; the message names those that there are.
        """
        self.name = name
        self._directory = directory
        self._file = directory / "config.json"
        self._document: dict[str, Any] = json.loads(self._file.read_text())
        stages = self._document["stages"]
        if name not in stages:
            raise UnknownStage(f"There is no stage {name}; there are {', '.join(stages)}.")
        self.config: dict[str, Any] = stages[name]

    @classmethod
    def like_prod(cls, name: str, directory: Path = CONFIG.parent) -> "Stage":
        """Make a stage that has the settings of ``prod`` and names of its own, and read it."""
        model = cls(_MODEL, directory)
        stage = deepcopy(model.config)
        stage["api_gateway_stage"] = name
        stage.pop("deploy", None)
        environment = stage["environment_variables"]
        for variable, default in _NAMES.items():
            environment[variable] = f"{default}-{name}"
        environment["METRICS"] = name
        for part in _parts(stage):
            if "iam_policy_file" in part:
                before = part["iam_policy_file"]
                part["iam_policy_file"] = before.replace(f"-{_MODEL}", f"-{name}", 1)
                (directory / part["iam_policy_file"]).write_text((directory / before).read_text())
        model._document["stages"][name] = stage
        model.save()
        return cls(name, directory)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the stage's functions; changes are kept by :meth:`save`."""
        variables: dict[str, str] = self.config.setdefault("environment_variables", {})
        return variables

    @property
    def deploy(self) -> dict[str, Any]:
        """What was asked for at earlier deploys and holds for later ones."""
        options: dict[str, Any] = self.config.setdefault("deploy", {})
        return options

    @property
    def application(self) -> str:
        """Name of the API's function; those of the handlers begin with it."""
        return f"{self._document['app_name']}-{self.name}"

    @property
    def api_name(self) -> str:
        """Name that Chalice gives to the REST API."""
        return str(self._document["app_name"])

    @property
    def handlers(self) -> list[str]:
        """Names of the S3 handlers, as in the application."""
        configured = self.config.get("lambda_functions", {})
        return [name for name in configured if name not in (API, FORGET)]

    @property
    def functions(self) -> list[str]:
        """Names of all functions of the stage, as in the application."""
        forgets = Settings.from_environment(self.environment).forget_after_days
        return [API, *self.handlers, *([FORGET] if forgets else [])]

    def function_name(self, handler: str) -> str:
        """Return the name that Chalice gives to the function of a handler."""
        return self.application if handler == API else f"{self.application}-{handler}"

    def policy_files(self) -> dict[str, Path]:
        """Return the policy files of the functions, by the functions' names in Chalice."""
        functions = self.config.get("lambda_functions", {})
        of_all = self.config.get("iam_policy_file", f"policy-{self.name}.json")
        return {
            name: self._directory / functions.get(name, {}).get("iam_policy_file", of_all)
            for name in [API, *self.handlers, FORGET]
        }

    def save(self) -> None:
        """Write the configuration back, with the changes made to it."""
        self._file.write_text(json.dumps(self._document, indent=2) + "\n")


_NAMES = {
    "FACES_BUCKET": "facial-recognition-data-bucket",
    "FACES_TABLE": "face-metadata",
    "FACES_AUDIT_TABLE": "face-audit",
    "FACES_COLLECTION": "face-collection",
    "FAILED_EVENTS_QUEUE": "facial-recognition-failed-events",
}


def _parts(stage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield stage
    yield from stage.get("lambda_functions", {}).values()


def names() -> list[str]:
    """List the stages."""
    return list(json.loads(CONFIG.read_text())["stages"])


def use(stage: str) -> None:
    """Take over a stage's environment; what is set in the process's own goes before it.

    Raises:
        UnknownStage: there is none of that name; the message names those that there are.
    """
    for name, value in Stage(stage).environment.items():
        os.environ.setdefault(name, value)


# --- policies -------------------------------------------------------------------------------


class Names:
    """What the ARNs in a stage's policies have to name."""

    def __init__(self, settings: Settings, account: str, region: str) -> None:
        """Take the stage's settings, and where it is deployed."""
        self.account = account
        self.region = region
        self.bucket = settings.faces_bucket
        self.tables = {
            "Records": settings.faces_table,
            "RecordsOfAPerson": settings.faces_table,
            "AuditTrail": settings.faces_audit_table,
        }
        """By the ``Sid`` of the statements that are about them."""
        self.collection = settings.faces_collection
        self.queue = settings.failed_events_queue


def point(policy: dict[str, Any], names: Names, function: str) -> dict[str, Any]:
    """Return a policy whose ARNs name a stage's resources and no others.

    Args:
        policy: the policy, which may name any stage's.
        names: what it is to name.
        function: the name of the function that is given the policy.
    """

    def pointed(arn: str, sid: str) -> str:
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
                raise ValueError(f"{arn}: how it is named in a stage is not known")
        return f"arn:{partition}:{service}:{where}:{resource}"

    def statement(given: dict[str, Any]) -> dict[str, Any]:
        arns, sid = given["Resource"], given["Sid"]
        changed: Any = (
            pointed(arns, sid) if isinstance(arns, str) else [pointed(arn, sid) for arn in arns]
        )
        return {**given, "Resource": changed}

    return {**policy, "Statement": [statement(given) for given in policy["Statement"]]}


_TRACES = "Traces"


def trace(policy: dict[str, Any], *, wanted: bool) -> dict[str, Any]:
    """Return a policy that allows traces to be sent to X-Ray, or no more does.

    Only a stage with ``"xray": true`` needs it. X-Ray knows no resource to narrow it to.
    """
    kept = [s for s in policy["Statement"] if s["Sid"] != _TRACES]
    added: dict[str, Any] = {
        "Sid": _TRACES,
        "Effect": "Allow",
        "Action": ["xray:PutTelemetryRecords", "xray:PutTraceSegments"],
        "Resource": "*",
    }
    return {**policy, "Statement": [*kept, *([added] if wanted else [])]}


_NOT_KEPT = "PhotographsNotKept"


def let_go(policy: dict[str, Any], names: Names, *, wanted: bool) -> dict[str, Any]:
    """Return a policy that allows photographs to be deleted, or no more does.

    Only a stage that keeps no photographs (``KEEP_PHOTOGRAPHS=0``) needs it: a placeholder is put
    in their place, and their versions are deleted.
    """
    kept = [s for s in policy["Statement"] if not s["Sid"].startswith(_NOT_KEPT)]
    bucket = f"arn:aws:s3:::{names.bucket}"
    added: list[dict[str, Any]] = [
        {
            "Sid": _NOT_KEPT,
            "Effect": "Allow",
            "Action": ["s3:DeleteObjectVersion", "s3:PutObject"],
            "Resource": f"{bucket}/faces/*",
        },
        {
            "Sid": f"{_NOT_KEPT}List",
            "Effect": "Allow",
            "Action": "s3:ListBucketVersions",
            "Resource": bucket,
        },
    ]
    return {**policy, "Statement": [*kept, *(added if wanted else [])]}
