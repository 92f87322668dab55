"""The stages of the application, as ``.chalice/config.json`` describes them."""

import json
import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chalicelib.settings import Settings
from facial_recognition import checkout

API = "api_handler"
"""Chalice's name of the function that answers HTTP requests."""
FORGET = "forget_unverified"
"""The function that runs daily on stages that forget people who are not verified any more."""
KEY_FILE = "AWS_SHARED_CREDENTIALS_FILE"
CREDENTIALS = frozenset(
    {
        KEY_FILE,
        "AWS_ACCESS_KEY_ID",
        "AWS_CONFIG_FILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_PROFILE",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    }
)
"""The variables in which boto3 looks for credentials before it reads the file of ``KEY_FILE``."""
_LOCAL_KEY = "local"
"""The id of every embedded AWS's access key."""
_MODEL = "prod"
"""New stages are copies of this one."""
_RESOURCE_NAMES = {
    "FACES_BUCKET": "facial-recognition-data-bucket",
    "FACES_TABLE": "face-metadata",
    "FACES_AUDIT_TABLE": "face-audit",
    "FACES_COLLECTION": "face-collection",
    "FAILED_EVENTS_QUEUE": "facial-recognition-failed-events",
}
"""The variables that name a stage's resources. The names of a new stage begin with these."""


class UnknownStage(Exception):
    """The configuration has no stage of this name."""


class StageConfig:
    """The configuration of one stage, its policy files, and the names of its functions."""

    def __init__(self, name: str, directory: Path | None = None) -> None:
        """Read a stage.

        Args:
            name: the stage's name.
            directory: the folder ``.chalice`` of the project; by default that of the checkout.

        Raises:
            UnknownStage: there is no stage of that name; the message lists the stages.
            facial_recognition.checkout.NoCheckout: there is no configuration to read.
        """
        self.name = name
        self._directory = directory or checkout.require() / ".chalice"
        self._file = self._directory / "config.json"
        self._document: dict[str, Any] = json.loads(self._file.read_text())
        stages = self._document["stages"]
        if name not in stages:
            raise UnknownStage(f"There is no stage {name}; there are {', '.join(stages)}.")
        self.config: dict[str, Any] = stages[name]

    @classmethod
    def create(cls, name: str, directory: Path | None = None) -> "StageConfig":
        """Write and return a new stage: the settings of ``prod``, with resources of its own."""
        model = cls(_MODEL, directory)
        stage = deepcopy(model.config)
        stage["api_gateway_stage"] = name
        stage.pop("deploy", None)
        environment = stage["environment_variables"]
        for variable, default in _RESOURCE_NAMES.items():
            environment[variable] = f"{default}-{name}"
        environment["METRICS"] = name
        for part in _stage_and_functions(stage):
            if "iam_policy_file" in part:
                before = part["iam_policy_file"]
                part["iam_policy_file"] = before.replace(f"-{_MODEL}", f"-{name}", 1)
                policy = (model._directory / before).read_text()
                (model._directory / part["iam_policy_file"]).write_text(policy)
        model._document["stages"][name] = stage
        model.save()
        return cls(name, directory)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the stage's functions; :meth:`save` keeps changes."""
        variables: dict[str, str] = self.config.setdefault("environment_variables", {})
        return variables

    @property
    def deploy_options(self) -> dict[str, Any]:
        """The options of earlier deploys, which hold for later ones too."""
        options: dict[str, Any] = self.config.setdefault("deploy", {})
        return options

    @property
    def application(self) -> str:
        """Name of the API's function; the names of the handlers begin with it."""
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
        default = self.config.get("iam_policy_file", f"policy-{self.name}.json")
        return {
            name: self._directory / functions.get(name, {}).get("iam_policy_file", default)
            for name in [API, *self.handlers, FORGET]
        }

    def save(self) -> None:
        """Write the configuration back, with the changes made to it."""
        self._file.write_text(json.dumps(self._document, indent=2) + "\n")


def _stage_and_functions(stage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every part of a stage's configuration that may name a policy file."""
    yield stage
    yield from stage.get("lambda_functions", {}).values()


def names() -> list[str]:
    """List the stages.

    Raises:
        facial_recognition.checkout.NoCheckout: there is no configuration to read.
    """
    config = checkout.require() / ".chalice" / "config.json"
    return list(json.loads(config.read_text())["stages"])


def set_environment(stage: str) -> None:
    """Set the environment variables of a stage in this process, unless they are set already.

    A stage on this machine has an access key of its own, which takes the place of the operator's
    credentials. Only another file in ``AWS_SHARED_CREDENTIALS_FILE``, or the access key ``local``,
    counts instead.

    Raises:
        UnknownStage: there is no stage of that name; the message lists the stages.
        facial_recognition.checkout.NoCheckout: there is no configuration to read.
    """
    environment = dict(StageConfig(stage).environment)
    if KEY_FILE in environment and _keeps_own_credentials(environment):
        environment = {n: v for n, v in environment.items() if n not in CREDENTIALS}
    elif KEY_FILE in environment:
        for name in CREDENTIALS - {KEY_FILE}:
            os.environ.pop(name, None)
        environment[KEY_FILE] = str(checkout.require() / environment[KEY_FILE])
    for name, value in environment.items():
        os.environ.setdefault(name, value)


def _keeps_own_credentials(environment: Mapping[str, str]) -> bool:
    """Return whether this process has credentials for the place where its calls go.

    Args:
        environment: of a stage with an access key of its own.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or environment.get("AWS_ENDPOINT_URL", "")
    is_elsewhere = urlsplit(endpoint).hostname not in ("127.0.0.1", "localhost", "::1")
    return is_elsewhere or os.environ.get("AWS_ACCESS_KEY_ID") == _LOCAL_KEY
