"""Errors of commands, and one line about each that says what is wrong and what to do."""

import os

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from chalicelib.errors import THROTTLING_CODES, Problem
from chalicelib.settings import SettingsError
from facial_recognition.checkout import NoCheckout
from facial_recognition.infra.errors import DeployError, missing_permission
from facial_recognition.infra.stages import KEY_FILE, UnknownStage

_WRONG_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_REFUSED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
)
_MISSING = frozenset({"NoSuchBucket", "ResourceNotFoundException", "QueueDoesNotExist"})
_NOT_FROM_AWS = frozenset({"404", "405", "501"})
"""Bare HTTP statuses: AWS gives a code with a status, except to HEAD, whose answer has no body."""


class CannotDo(Exception):
    """A command cannot do its work; the message says what to do about it."""

    def __init__(self, detail: str, code: str = "cannot_do") -> None:
        """Describe the error.

        Args:
            detail: one line for the operator.
            code: for programs.
        """
        super().__init__(detail)
        self.code = code


_CODES: dict[type[Exception], str] = {
    SettingsError: "settings",
    UnknownStage: "settings",
    NoCheckout: "no_checkout",
    DeployError: "cannot_deploy",
}
"""Errors whose own words are for the operator, and their codes."""


def explain(error: Exception, stage: str, *, deploying: bool = False) -> tuple[str, str]:
    """Return a code and one line for any error of any command.

    Args:
        error: the error.
        stage: the stage that the command line names.
        deploying: whether the command deploys or undeploys. Then refusals keep AWS's own words:
            whoever deploys needs the name of the resource and the reason. The other commands leave
            these words out, because they can hold personal data.
    """
    if isinstance(error, CannotDo | Problem):
        return error.code, str(error)
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code, str(error)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return "file_error", f"{name}{error.strerror or error}"
    if explained := _explain_aws(error, stage, deploying=deploying):
        return explained
    # A mistake of ours.
    return "internal", f"{type(error).__name__}: {error} (FACES_DEBUG=1 shows where)"


def _explain_aws(error: Exception, stage: str, *, deploying: bool) -> tuple[str, str] | None:
    if isinstance(error, ClientError):
        general = _explain_answer(error)
        if deploying:
            return general or _explain_refused_deploy(error)
        return general or _explain_refusal(error, stage)
    if isinstance(error, BotoCoreError):
        return _explain_failed_call(error, deploying=deploying)
    if isinstance(error, ResponseParserError):
        return _not_aws()
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        return "settings", f"AWS_ENDPOINT_URL is not an address: {endpoint}."
    return None


def _not_aws() -> tuple[str, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "the address of AWS")
    return "not_aws", f"The server at {endpoint} is not AWS: check AWS_ENDPOINT_URL."


def _explain_answer(error: ClientError) -> tuple[str, str] | None:
    """Explain an answer that does not depend on the command; return None for all others."""
    code = error.response["Error"].get("Code", "")
    if code in _WRONG_CREDENTIALS:
        return "credentials", _wrong_credentials(code)
    if code in _NOT_FROM_AWS and not error.operation_name.startswith("Head"):
        return _not_aws()
    return None


def _wrong_credentials(code: str) -> str:
    endpoint, file = os.environ.get("AWS_ENDPOINT_URL"), os.environ.get(KEY_FILE)
    if endpoint and file:
        return (
            f"The server at {endpoint} does not accept the access key in {file} ({code}): set"
            f" {KEY_FILE} to the file that make run names."
        )
    return f"AWS does not accept the credentials ({code}): sign in again."


def _explain_refused_deploy(error: ClientError) -> tuple[str, str]:
    if permission := missing_permission(str(error)):
        return "access_denied", permission
    return "aws_error", str(error)


def _explain_refusal(error: ClientError, stage: str) -> tuple[str, str]:
    code, operation = error.response["Error"].get("Code", ""), error.operation_name
    if code in _REFUSED:
        return "access_denied", f"AWS does not allow you {operation}: ask for that permission."
    if code in _MISSING:
        return (
            "not_set_up",
            f"Stage {stage} is not set up ({operation}: {code}). make run sets up dev on this"
            " machine; make deploy STAGE=… sets up any other on AWS.",
        )
    if code in THROTTLING_CODES:
        return "throttled", f"AWS throttles {operation}: try again later, or with a lower --rate."
    return "aws_error", f"AWS answered {operation} with {code}: try again later."


def _explain_failed_call(error: BotoCoreError, *, deploying: bool) -> tuple[str, str]:
    """Explain a call that could not be made, or that got no answer."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        file = os.environ.get(KEY_FILE)
        is_local = bool(os.environ.get("AWS_ENDPOINT_URL")) and not deploying
        if is_local and file and not os.path.exists(file):
            return "credentials", f"There is no {file}: make run writes it. Start that first."
        return "credentials", "There are no AWS credentials: run aws configure, or set AWS_PROFILE."
    if isinstance(error, NoRegionError):
        return "settings", "There is no region: set AWS_DEFAULT_REGION, or run aws configure."
    if isinstance(error, ConnectionError | ConnectTimeoutError | HTTPClientError):
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            return "unreachable", f"Nothing answers at {endpoint}: start it with make run."
        return "unreachable", "AWS cannot be reached: check the network."
    reason = str(error) if deploying else f"AWS could not be asked ({type(error).__name__})."
    return "aws_error", reason
