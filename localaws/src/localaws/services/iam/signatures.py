"""Checks of signatures, version 4, in a header or in a presigned address.

Sources: "AWS Signature Version 4 for API requests" in the IAM User Guide, and "Authenticating
Requests (AWS Signature Version 4)" in the Amazon S3 API Reference.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.utils import normalize_url_path

from localaws.account import REGION
from localaws.bodies import BodyRefused, read_whole
from localaws.refusals import RequestRefused, body_refused
from localaws.request import AWSRequest, request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MOST_SKEW: Final = timedelta(minutes=15)
"""The most that a caller's clock may differ from the server's."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""The most bytes of a body. AWS takes 5 GiB in one request to S3, and less everywhere else. Here
memory holds the body."""
MOST_EXPIRES: Final = 7 * 24 * 3600
"""Seconds: the longest life of a presigned address."""

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_CREDENTIAL: Final = re.compile(
    r"(?P<key>[^/,\s]+)/(?P<date>[0-9]{8})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request"
)
# moto finds the service only in a header of this form.
_HEADER: Final = re.compile(
    rf"{_ALGORITHM} Credential=(?P<credential>[^,\s]+), ?SignedHeaders=(?P<headers>[^,\s]+),"
    r" ?Signature=(?P<value>[0-9a-f]{64})"
)
_TIME: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_EXPIRES: Final = re.compile(r"[0-9]{1,6}")
_UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
_CHUNK_SIGNER: Final = "localaws.chunk_signer"
_S3_DIGEST: Final = re.compile(
    r"[0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    r"|STREAMING-AWS4-HMAC-SHA256-PAYLOAD(-TRAILER)?"
)


class Fault(StrEnum):
    """Why a request's signature does not count."""

    MISSING = "the request is not signed"
    MALFORMED = "the header Authorization is not a signature with AWS4-HMAC-SHA256"
    MALFORMED_QUERY = "the X-Amz- parameters in the address are no signature"
    UNKNOWN_KEY = "the access key does not exist"
    WRONG_TOKEN = "the session token does not belong to the access key"  # noqa: S105 - a message
    EXPIRED_TOKEN = "the session has expired"  # noqa: S105
    WRONG_SERVICE = "the signature is for another service"
    NO_DIGEST = "the header x-amz-content-sha256 is missing or no digest"
    MISMATCH = "the signature does not fit the request and the secret key"
    UNSIGNED_HEADERS = "a header that must be signed is not"
    SKEWED = "the clocks of caller and server differ by more than 15 minutes"
    EXPIRED = "the presigned address has expired"
    VERSION_2 = "the signature is of version 2; only AWS4-HMAC-SHA256 is supported"


# "Common Errors" in the API reference of each service, and "Error Responses" in that of S3.
_S3: Final[Mapping[Fault, tuple[str, int]]] = {
    Fault.MISSING: ("AccessDenied", 403),
    Fault.MALFORMED: ("AuthorizationHeaderMalformed", 400),
    Fault.MALFORMED_QUERY: ("AuthorizationQueryParametersError", 400),
    Fault.UNKNOWN_KEY: ("InvalidAccessKeyId", 403),
    Fault.WRONG_TOKEN: ("InvalidToken", 400),
    Fault.EXPIRED_TOKEN: ("ExpiredToken", 400),
    Fault.NO_DIGEST: ("InvalidRequest", 400),
    Fault.UNSIGNED_HEADERS: ("AccessDenied", 403),
    Fault.SKEWED: ("RequestTimeTooSkewed", 403),
    Fault.EXPIRED: ("AccessDenied", 403),
    Fault.VERSION_2: ("InvalidRequest", 400),
}
_QUERY: Final = {
    Fault.MISSING: "MissingAuthenticationToken",
    Fault.MALFORMED: "IncompleteSignature",
    Fault.MALFORMED_QUERY: "IncompleteSignature",
    Fault.UNKNOWN_KEY: "InvalidClientTokenId",
    Fault.WRONG_TOKEN: "InvalidClientTokenId",
    Fault.EXPIRED_TOKEN: "ExpiredToken",
}
_JSON: Final = {
    Fault.MISSING: "MissingAuthenticationTokenException",
    Fault.MALFORMED: "IncompleteSignatureException",
    Fault.MALFORMED_QUERY: "IncompleteSignatureException",
    Fault.UNKNOWN_KEY: "UnrecognizedClientException",
    Fault.WRONG_TOKEN: "UnrecognizedClientException",
    Fault.EXPIRED_TOKEN: "ExpiredTokenException",
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

    def has_expired(self, access_key_id: str) -> bool:
        """Return whether the key is of temporary credentials whose time is over."""
        ...


@dataclass(frozen=True)
class Signature:
    """A signature with the facts that it states."""

    access_key_id: str
    token: str | None
    timestamp: str
    """``YYYYMMDDThhmmssZ``, UTC."""
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    expires: int | None
    """Seconds; None for a signature in the header ``Authorization``."""

    @property
    def scope(self) -> str:
        """The date, the region and the service that the signing key is limited to."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def check(environ: "WSGIEnvironment", keys: Keys, service: str | None) -> Signature:
    """Check the signature of a request, and return it.

    The body of a request to S3 is not looked at: its header ``x-amz-content-sha256`` is signed.

    Args:
        environ: the request.
        keys: know the secrets.
        service: the service that the signature must be for; None takes one for any service.

    Raises:
        SignatureRefused: the signature is missing or wrong.
        BodyRefused: the body of a request to another service than S3 cannot be read.
    """
    signature = _read(environ)
    secret = keys.secret_of(signature.access_key_id)
    if secret is None:
        raise SignatureRefused(Fault.UNKNOWN_KEY)
    if signature.token != keys.token_of(signature.access_key_id):
        raise SignatureRefused(Fault.WRONG_TOKEN)
    if keys.has_expired(signature.access_key_id):
        raise SignatureRefused(Fault.EXPIRED_TOKEN)
    if service not in (None, signature.service):
        raise SignatureRefused(Fault.WRONG_SERVICE)
    _check_time(signature)
    _check_signed_headers(environ, signature)
    for request in _canonical_requests(environ, signature):
        if hmac.compare_digest(_sign(request, signature, secret), signature.value):
            environ[_CHUNK_SIGNER] = _ChunkSigner(signature, secret)
            return signature
    raise SignatureRefused(Fault.MISMATCH)


def demand(environ: "WSGIEnvironment", keys: Keys, service: str | None) -> Signature:
    """Check the signature of a request as :func:`check` does, and return it.

    Raises:
        RequestRefused: the signature does not count, or the body cannot be read. It has the code
            that the service gives.
    """
    try:
        return check(environ, keys, service)
    except SignatureRefused as refused:
        raise _refusal(request_of(environ), refused) from None
    except BodyRefused as refused:
        raise body_refused(request_of(environ), refused) from None


def chunk_signer(environ: "WSGIEnvironment") -> "_ChunkSigner | None":
    """Return what signs the chunks of a request whose signature was checked; None for others."""
    signer: _ChunkSigner | None = environ.get(_CHUNK_SIGNER)
    return signer


class _ChunkSigner:
    """Computes the signatures of a payload's chunks, beginning with the request's own."""

    def __init__(self, signature: Signature, secret: str) -> None:
        self._signature = signature
        self._secret = secret
        self._previous = signature.value

    def next(self, kind: str, *digests: str) -> str:
        """Return the signature of the next part; see ``chunked_payload.ChunkSigner``."""
        first = (f"{_ALGORITHM}-{kind}", self._signature.timestamp, self._signature.scope)
        to_sign = "\n".join((*first, self._previous, *digests))
        key = _signing_key(self._signature, self._secret)
        self._previous = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return self._previous


def stated(service: str, access_key_id: str = "anonymous", scope: str = "") -> str:
    """Return a header ``Authorization`` that names a service, for moto, which looks no further."""
    scope = scope or f"20000101/{REGION}/{service}/aws4_request"
    return f"{_ALGORITHM} Credential={access_key_id}/{scope}, SignedHeaders=host, Signature="


def _refusal(request: AWSRequest, refused: SignatureRefused) -> RequestRefused:
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


def _read(environ: "WSGIEnvironment") -> Signature:
    """Return the signature of a request, before any check.

    Raises:
        SignatureRefused: there is none, or it is malformed.
    """
    header = environ.get("HTTP_AUTHORIZATION")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if header is None and "X-Amz-Signature" in query:
        return _read_query(query)
    if header is None:
        is_version_2 = {"AWSAccessKeyId", "Signature"} <= query.keys()
        raise SignatureRefused(Fault.VERSION_2 if is_version_2 else Fault.MISSING)
    found = _HEADER.fullmatch(header)
    credential = _CREDENTIAL.fullmatch(found["credential"]) if found else None
    if found is None or credential is None:
        is_version_2 = header.startswith("AWS ")
        raise SignatureRefused(Fault.VERSION_2 if is_version_2 else Fault.MALFORMED)
    return Signature(
        credential["key"],
        environ.get("HTTP_X_AMZ_SECURITY_TOKEN"),
        environ.get("HTTP_X_AMZ_DATE", ""),
        credential["date"],
        credential["region"],
        credential["service"],
        tuple(found["headers"].split(";")),
        found["value"],
        None,
    )


def _read_query(query: Mapping[str, str]) -> Signature:
    """Return the signature of a presigned address."""
    credential = _CREDENTIAL.fullmatch(query.get("X-Amz-Credential", ""))
    expires = query.get("X-Amz-Expires", "")
    if (
        credential is None
        or query.get("X-Amz-Algorithm") != _ALGORITHM
        or not _EXPIRES.fullmatch(expires)
        or not 0 < int(expires) <= MOST_EXPIRES
        or not query["X-Amz-Signature"].isascii()
    ):
        raise SignatureRefused(Fault.MALFORMED_QUERY)
    return Signature(
        credential["key"],
        query.get("X-Amz-Security-Token"),
        query.get("X-Amz-Date", ""),
        credential["date"],
        credential["region"],
        credential["service"],
        tuple(query.get("X-Amz-SignedHeaders", "").split(";")),
        query["X-Amz-Signature"],
        int(expires),
    )


def _check_time(signature: Signature) -> None:
    if not _TIME.fullmatch(signature.timestamp) or signature.timestamp[:8] != signature.date:
        raise SignatureRefused(Fault.MISMATCH)
    try:
        signed = datetime.strptime(signature.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # the 31st of February
        raise SignatureRefused(Fault.MISMATCH) from None
    age = datetime.now(UTC) - signed
    if age < -MOST_SKEW or (signature.expires is None and age > MOST_SKEW):
        raise SignatureRefused(Fault.SKEWED)
    if signature.expires is not None and age > timedelta(seconds=signature.expires):
        raise SignatureRefused(Fault.EXPIRED)


def _check_signed_headers(environ: "WSGIEnvironment", signature: Signature) -> None:
    """Check that ``host`` and every ``x-amz-`` header are signed, as AWS demands."""
    given = {name for name in environ if name.startswith("HTTP_X_AMZ_")}
    if not {"HTTP_HOST", *given} <= {_wsgi_name(name) for name in signature.signed_headers}:
        raise SignatureRefused(Fault.UNSIGNED_HEADERS)


def _canonical_requests(environ: "WSGIEnvironment", signature: Signature) -> Iterator[str]:
    """Yield the two readings of a request that its caller may have signed.

    AWS encodes path and query anew before it signs them. Some clients sign what they send instead,
    for example a path with an encoded slash. Both readings lead to the same bucket and key.
    """
    path, _, query = str(environ["REQUEST_URI"]).partition("?")
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    if signature.expires is not None:
        pairs = [pair for pair in pairs if pair[0] != "X-Amz-Signature"]
    headers = "".join(f"{n}:{_header(environ, n)}\n" for n in signature.signed_headers)
    rest = f"{headers}\n{';'.join(signature.signed_headers)}\n{_payload_digest(environ, signature)}"
    encoded = [(_encoded(name), _encoded(value)) for name, value in pairs]
    for sent_path, sent_pairs in ((_encoded(path, "/"), encoded), (path, pairs)):
        # S3 encodes the path once; all others encode it twice, and shorten it.
        is_s3 = signature.service == "s3"
        uri = sent_path if is_s3 else quote(normalize_url_path(sent_path), safe="/~")
        parameters = "&".join(f"{name}={value}" for name, value in sorted(sent_pairs))
        yield f"{environ['REQUEST_METHOD']}\n{uri}\n{parameters}\n{rest}"


def _encoded(text: str, safe: str = "") -> str:
    return quote(unquote_to_bytes(text), safe=f"{safe}-_.~")


def _payload_digest(environ: "WSGIEnvironment", signature: Signature) -> str:
    """Return the digest of the body that the signature covers.

    Raises:
        SignatureRefused: a request to S3 states none.
    """
    if signature.service != "s3":
        return sha256(read_whole(environ, MOST_BYTES)).hexdigest()
    usual = "" if signature.expires is None else _UNSIGNED_PAYLOAD
    digest = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", usual))
    if not _S3_DIGEST.fullmatch(digest):
        raise SignatureRefused(Fault.NO_DIGEST)
    return digest


def _header(environ: "WSGIEnvironment", name: str) -> str:
    """Return the value of a header, which WSGI gives as Latin-1, without needless spaces."""
    value = str(environ.get(_wsgi_name(name), ""))
    with suppress(UnicodeDecodeError):  # then it is Latin-1, as boto3 sends it
        value = value.encode("latin-1").decode()
    return " ".join(value.split())


def _wsgi_name(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _signing_key(signature: Signature, secret: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in signature.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _sign(canonical_request: str, signature: Signature, secret: str) -> str:
    digest = sha256(canonical_request.encode(errors="replace")).hexdigest()
    to_sign = f"{_ALGORITHM}\n{signature.timestamp}\n{signature.scope}\n{digest}"
    return hmac.digest(_signing_key(signature, secret), to_sign.encode(), "sha256").hex()
