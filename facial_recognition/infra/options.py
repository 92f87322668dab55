"""The options of a deploy: check them, and keep them in the stage's configuration."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from chalicelib.settings import Settings
from facial_recognition.infra.errors import DeployError
from facial_recognition.infra.stages import StageConfig

OPTIONAL_STEPS = {
    "alarms": "nobody hears of photographs that could not be indexed, of errors or of slowness",
    "usage-plan": "there are no API keys, and callers have no limits",
    "pages": "nobody can register and verify in a browser",
    "concurrency": "Rekognition throttles a big upload, which then takes longer",
    "gateway-responses": "errors that API Gateway answers itself are not problem details",
}
"""The steps that may be left out, and the consequence of each."""

_ROLE_ARN = re.compile(r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True)
class DeployOptions:
    """The options of one deploy. An option that is None stays as an earlier deploy set it."""

    auth: str | None = None
    """Who may call the API: ``AUTH``."""
    open_to_all: bool = False
    """Confirms ``AUTH=none``."""
    cors_origin: str | None = None
    """Origin of the pages that may call the API."""
    role_arn: str | None = None
    """An existing role for all functions, where none may be made."""
    data_stack: str | None = None
    """``existing`` adopts the bucket, the table and the collection of the account; ``own`` makes
    them."""
    alarm_email: str | None = None
    """Address that alarms are sent to."""
    forget_after_days: int | None = None
    """People who are not verified for this many days are forgotten; 0 is never."""
    without: str | None = None
    """Names of :data:`OPTIONAL_STEPS` to leave out, separated by commas or spaces."""


def refuse_local_stage(stage: StageConfig) -> None:
    """Refuse the stage of ``make run``, which is not for AWS.

    Raises:
        DeployError: it is that stage.
    """
    if "AWS_ENDPOINT_URL" in stage.environment:
        raise DeployError(
            f"The stage {stage.name} is for the embedded AWS of this machine. Name another one:"
            " --stage prod (STAGE=prod)."
        )


def apply(options: DeployOptions, stage: StageConfig) -> None:
    """Check the options of a deploy, and set them in the stage's configuration.

    The configuration is not saved.

    Raises:
        DeployError: an option, or a combination of them, cannot be used.
    """
    refuse_local_stage(stage)
    environment, kept = stage.environment, stage.deploy_options
    if options.auth:
        environment["AUTH"] = options.auth
    if options.cors_origin:
        environment["CORS_ORIGIN"] = kept["cors_origin"] = options.cors_origin
    _apply_retention(environment, options.forget_after_days)
    if environment.get("AUTH") == "none" and not options.open_to_all:
        raise DeployError(
            "AUTH=none lets anybody register and verify. If you want that, add --open-to-all"
            " (OPEN_TO_ALL=yes)."
        )
    if options.role_arn:
        if not _ROLE_ARN.fullmatch(options.role_arn):
            raise DeployError(
                "--role-arn (ROLE_ARN) takes an ARN like arn:aws:iam::123456789012:role/LabRole."
            )
        stage.config.update(manage_iam_role=False, iam_role_arn=options.role_arn)
    if options.data_stack:
        kept["data_stack"] = options.data_stack
    if options.alarm_email:
        if not _EMAIL.fullmatch(options.alarm_email):
            raise DeployError("--alarm-email (ALARM_EMAIL) takes an e-mail address.")
        kept["alarm_email"] = options.alarm_email
    if options.without is not None:
        kept["without"] = _step_names(options.without)
    _check_auth(environment, kept.get("without", []))


def _apply_retention(environment: dict[str, str], days: int | None) -> None:
    """Set ``FORGET_AFTER_DAYS``, and the day from which verifications are recorded for it."""
    if days is not None:
        environment["FORGET_AFTER_DAYS"] = str(days)
    if environment.get("FORGET_AFTER_DAYS", "0") == "0":
        environment.pop("VERIFICATIONS_NOTED_SINCE", None)
    else:
        environment.setdefault("VERIFICATIONS_NOTED_SINCE", f"{datetime.now(UTC):%Y-%m-%d}")


def _step_names(without: str) -> list[str]:
    names = without.replace(",", " ").split()
    if unknown := sorted(set(names) - set(OPTIONAL_STEPS)):
        optional = ", ".join(OPTIONAL_STEPS)
        raise DeployError(
            f"{', '.join(unknown)} cannot be left out. You can leave out: {optional}."
        )
    return names


def _check_auth(environment: dict[str, str], left_out: list[str]) -> None:
    """Check that ``AUTH`` works without the steps that are left out."""
    auth = Settings.from_environment(environment).auth
    if auth == "api-key" and "usage-plan" in left_out:
        raise DeployError(
            "API keys do not work without a usage plan. Take another AUTH: iam, cognito or none."
        )
    if auth == "iam" and "pages" not in left_out:
        raise DeployError(
            "The pages cannot sign requests. With AUTH=iam, add --without pages (WITHOUT=pages)."
        )
