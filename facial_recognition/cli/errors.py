"""What can keep a command from doing its work, in one line that names what to do."""

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
from facial_recognition.infra.stages import UnknownStage

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
"""A status of HTTP alone: AWS gives a code with it, except to HEAD, which has no body."""


class CannotDo(Exception):
    """A command cannot do what it was asked to; its text says what to do about it."""

    def __init__(self, detail: str, code: str = "cannot_do") -> None:
        """Take one line for the operator, and a code for programs."""
        super().__init__(detail)
        self.code = code


def explain(error: Exception, stage: str) -> tuple[str, str]:
    """Give a code and one line of words for an error."""
    if isinstance(error, CannotDo | Problem):
        return error.code, str(error)
    if isinstance(error, SettingsError | UnknownStage):
        return "settings", str(error)
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return "file_error", f"{name}{error.strerror or error}"
    if of_aws := _explain_aws(error, stage):
        return of_aws
    # Not foreseen: a mistake of ours.
    return "internal", f"{type(error).__name__}: {error} (FACES_DEBUG=1 shows where)"


def _explain_aws(error: Exception, stage: str) -> tuple[str, str] | None:
    if isinstance(error, ClientError):
        return _explain_refusal(error, stage)
    if isinstance(error, BotoCoreError):
        return _explain_silence(error)
    if isinstance(error, ResponseParserError):
        return _not_aws()
    if isinstance(error, ValueError) and str(error).startswith("Invalid endpoint"):
        return "settings", f"AWS_ENDPOINT_URL is no address: {os.environ.get('AWS_ENDPOINT_URL')}."
    return None


def _not_aws() -> tuple[str, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "the address of AWS")
    return "not_aws", f"What answers at {endpoint} is not AWS: look at AWS_ENDPOINT_URL."


def _explain_refusal(error: ClientError, stage: str) -> tuple[str, str]:
    code, operation = error.response["Error"].get("Code", ""), error.operation_name
    if code in _WRONG_CREDENTIALS:
        return "credentials", f"AWS does not accept the credentials ({code}): sign in again."
    if code in _REFUSED:
        return "access_denied", f"AWS does not allow you {operation}: ask for that permission."
    if code in _MISSING:
        return (
            "not_set_up",
            f"Stage {stage} is not set up ({operation}: {code}): make run sets up dev on this"
            " machine, make deploy STAGE=… any other on AWS.",
        )
    if code in _NOT_FROM_AWS and not operation.startswith("Head"):
        return _not_aws()
    if code in THROTTLING_CODES:
        return "throttled", f"AWS throttles {operation}: go on later, or with a lower --rate."
    return "aws_error", f"AWS answered {operation} with {code}; try again later."


def _explain_silence(error: BotoCoreError) -> tuple[str, str]:
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return "credentials", "There are no AWS credentials: run aws configure, or set AWS_PROFILE."
    if isinstance(error, NoRegionError):
        return "settings", "There is no region: set AWS_DEFAULT_REGION."
    if isinstance(error, ConnectionError | ConnectTimeoutError | HTTPClientError):
        if endpoint := os.environ.get("AWS_ENDPOINT_URL"):
            return "unreachable", f"Nothing answers at {endpoint}: start it with make run."
        return "unreachable", "AWS cannot be reached: look at the network."
    return "aws_error", f"AWS could not be asked ({type(error).__name__})."
