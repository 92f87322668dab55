"""Checks of signatures, version 4, in a header or in a presigned address.

Sources: "AWS Signature Version 4 for API requests" in the IAM User Guide, and "Authenticating
Requests (AWS Signature Version 4)" in the Amazon S3 API Reference.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore import awsrequest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials

from localaws.refusals import RequestRefused
from localaws.request import AWSRequest, request_of
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_SKEW: Final = timedelta(minutes=15)
"""The most that a caller's clock may differ from the server's."""
MOST_EXPIRES: Final = 7 * 24 * 3600
"""Seconds: the longest life of a presigned address."""
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_TIMESTAMP: Final = "%Y%m%dT%H%M%SZ"


class Fault(StrEnum):
    """Why a request's signature does not count."""

    MISSING = "the request is not signed"
    UNKNOWN_KEY = "the access key does not exist"
    WRONG_TOKEN = "the session token does not belong to the access key"  # noqa: S105 - a message
    MISMATCH = "the signature does not fit the request and the secret key"
    UNSIGNED_HEADERS = "a header that must be signed is not"
    SKEWED = "the clocks of caller and server differ by more than 15 minutes"
    EXPIRED = "the presigned address has expired"
    VERSION_2 = "the signature is of version 2; only AWS4-HMAC-SHA256 is supported"


# "Common Errors" in the API reference of each service, and "Error Responses" in that of S3.
_S3: Final[Mapping[Fault, tuple[str, int]]] = {
    Fault.MISSING: ("AccessDenied", 403),
    Fault.UNKNOWN_KEY: ("InvalidAccessKeyId", 403),
    Fault.WRONG_TOKEN: ("InvalidToken", 400),
    Fault.UNSIGNED_HEADERS: ("AccessDenied", 403),
    Fault.SKEWED: ("RequestTimeTooSkewed", 403),
    Fault.EXPIRED: ("AccessDenied", 403),
    Fault.VERSION_2: ("InvalidRequest", 400),
}
_QUERY: Final = {
    Fault.MISSING: "MissingAuthenticationToken",
    Fault.UNKNOWN_KEY: "InvalidClientTokenId",
    Fault.WRONG_TOKEN: "InvalidClientTokenId",
}
_JSON: Final = {
    Fault.MISSING: "MissingAuthenticationTokenException",
    Fault.UNKNOWN_KEY: "UnrecognizedClientException",
    Fault.WRONG_TOKEN: "UnrecognizedClientException",
}


class SignatureRefused(Exception):
    """A request's signature does not count."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Keys(Protocol):
    """Access keys and their secrets."""

    def secret_of(self, access_key_id: str) -> str | None:
        """Return the secret of an access key; None if nobody owns the key."""
        ...

    def token_of(self, access_key_id: str) -> str | None:
        """Return the session token of temporary credentials; None for permanent ones."""
        ...


class _Claim(NamedTuple):
    """A signature as the request states it."""

    access_key_id: str
    token: str | None
    timestamp: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    expires: int | None
    """Seconds; None for a signature in a header."""


def check(environ: "WSGIEnvironment", keys: Keys, service: str) -> None:
    """Check the signature of a request.

    The body of a request to S3 is not looked at: its header ``x-amz-content-sha256`` is signed.

    Args:
        environ: the request.
        keys: know the secrets.
        service: the service that the signature must be for.

    Raises:
        SignatureRefused: the signature is missing or wrong.
    """
    claim = _claim(environ)
    secret = keys.secret_of(claim.access_key_id)
    if secret is None:
        raise SignatureRefused(Fault.UNKNOWN_KEY)
    if claim.token != keys.token_of(claim.access_key_id):
        raise SignatureRefused(Fault.WRONG_TOKEN)
    if claim.service != service:
        raise SignatureRefused(Fault.MISMATCH)
    _check_time(claim)
    _check_signed_headers(environ, claim)
    expected = _signature(environ, claim, secret)
    if not hmac.compare_digest(expected.encode(), claim.value.encode()):
        raise SignatureRefused(Fault.MISMATCH)


def refusal(request: AWSRequest, refused: SignatureRefused) -> RequestRefused:
    """Return the refusal with the code that the service gives."""
    message = f"Refused: {refused}."
    if refused.fault in (Fault.MISSING, Fault.UNKNOWN_KEY, Fault.MISMATCH):
        message += " The key of this installation is in the credentials file of its data folder."
    if request.protocol == "rest-xml":
        code, status = _S3.get(refused.fault, ("SignatureDoesNotMatch", 403))
        return RequestRefused(code, message, status)
    if request.protocol == "query":
        code = _QUERY.get(refused.fault, "SignatureDoesNotMatch")
        return RequestRefused(code, message, 403)
    code = _JSON.get(refused.fault, "InvalidSignatureException")
    return RequestRefused(code, message, 400 if request.protocol == "json" else 403)


def _claim(environ: "WSGIEnvironment") -> _Claim:
    request = request_of(environ)
    if signature := request.signature:
        return _Claim(
            signature.access_key_id,
            environ.get("HTTP_X_AMZ_SECURITY_TOKEN"),
            environ.get("HTTP_X_AMZ_DATE", ""),
            signature.region,
            signature.service,
            signature.signed_headers,
            signature.value,
            None,
        )
    if "HTTP_AUTHORIZATION" in environ or "X-Amz-Signature" not in request.query:
        is_version_2 = {"AWSAccessKeyId", "Signature"} <= set(request.query) or environ.get(
            "HTTP_AUTHORIZATION", ""
        ).startswith("AWS ")
        raise SignatureRefused(Fault.VERSION_2 if is_version_2 else Fault.MISSING)
    return _presigned(request.query)


def _presigned(query: Mapping[str, str]) -> _Claim:
    try:
        access_key_id, _, region, service, _ = query["X-Amz-Credential"].split("/")
        return _Claim(
            access_key_id,
            query.get("X-Amz-Security-Token"),
            query["X-Amz-Date"],
            region,
            service,
            tuple(query["X-Amz-SignedHeaders"].split(";")),
            query["X-Amz-Signature"],
            int(query["X-Amz-Expires"]),
        )
    except (KeyError, ValueError):
        raise SignatureRefused(Fault.MISMATCH) from None


def _check_time(claim: _Claim) -> None:
    try:
        signed = datetime.strptime(claim.timestamp, _TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureRefused(Fault.MISMATCH) from None
    age = datetime.now(UTC) - signed
    if age < -MOST_SKEW or (claim.expires is None and age > MOST_SKEW):
        raise SignatureRefused(Fault.SKEWED)
    if claim.expires is not None:
        if not 0 < claim.expires <= MOST_EXPIRES:
            raise SignatureRefused(Fault.MISMATCH)
        if age > timedelta(seconds=claim.expires):
            raise SignatureRefused(Fault.EXPIRED)


def _check_signed_headers(environ: "WSGIEnvironment", claim: _Claim) -> None:
    """AWS demands a signature over ``host`` and every ``x-amz-`` header."""
    given = {
        name.removeprefix("HTTP_").replace("_", "-").lower()
        for name in environ
        if name.startswith("HTTP_X_AMZ_")
    }
    signed = {name.replace("_", "-") for name in claim.signed_headers}
    if not {"host", *given} <= signed:
        raise SignatureRefused(Fault.UNSIGNED_HEADERS)


def _signature(environ: "WSGIEnvironment", claim: _Claim, secret: str) -> str:
    headers = {name: _header(environ, name) for name in claim.signed_headers}
    path, _, query = str(environ["REQUEST_URI"]).partition("?")
    if claim.service == "s3":  # its paths are encoded once, and never shortened
        path = quote(unquote_to_bytes(path), safe="/-_.~")
    parameters = parse_qsl(query, keep_blank_values=True, errors="surrogateescape")
    request: Any = awsrequest.AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ['HTTP_HOST']}{path}",
        headers=headers,
    )
    request.params = [pair for pair in parameters if pair[0] != "X-Amz-Signature"]
    request.context["timestamp"] = claim.timestamp
    signer = _Signer(
        Credentials(claim.access_key_id, secret, claim.token), claim.service, claim.region
    )
    signer.service = claim.service
    signer.payload_digest = _payload_digest(environ, claim)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return str(signer.signature(to_sign, request))


def _payload_digest(environ: "WSGIEnvironment", claim: _Claim) -> str:
    """Return the digest of the body, as the signature covers it."""
    if claim.service != "s3":
        return sha256(read_body(environ)).hexdigest()
    return str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", UNSIGNED_PAYLOAD))


def _header(environ: "WSGIEnvironment", name: str) -> str:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    return str(environ.get(key, "")).encode("latin-1").decode(errors="replace")


class _Signer(SigV4Auth):
    """Signs exactly the headers and the digest that the caller has signed."""

    service: str
    payload_digest: str

    def headers_to_sign(self, request: Any) -> Any:
        return request.headers

    def payload(self, request: Any) -> str:
        return self.payload_digest

    def canonical_request(self, request: Any) -> str:
        lines = str(super().canonical_request(request)).split("\n")
        return "\n".join([*lines[:-1], self.payload_digest])

    def _normalize_url_path(self, path: str) -> str:
        parent: Any = super()  # botocore's stubs lack the method
        return path if self.service == "s3" else str(parent._normalize_url_path(path))
