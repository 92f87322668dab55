"""Bodies: read once, within limits, and whole, before any other layer uses the request.

Source of the error codes: "Error responses" and "Checking object integrity" in the Amazon S3 API
Reference and User Guide.
"""

import base64
import binascii
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn
from xml.parsers import expat

from anycrc import Model

from localaws.bodies import BodyRefused, read_whole
from localaws.refusals import RequestRefused, body_refused, error_response
from localaws.request import AWSRequest, request_of
from localaws.services.apigateway.rest_apis import is_for_a_stage
from localaws.services.iam.signatures import MOST_BYTES, chunk_signer
from localaws.services.s3.chunked_payload import decode
from localaws.wsgi import replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CRC32C: Final = Model("CRC32-ISCSI")
_CRC64NVME: Final = Model("CRC64-NVME")
_CHECKSUMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4),
    "crc32c": lambda body: _CRC32C.calc(body).to_bytes(4),
    "crc64nvme": lambda body: _CRC64NVME.calc(body).to_bytes(8),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}
_OF_AN_OBJECT: Final = frozenset({"CompleteMultipartUpload"})
"""Operations whose checksum is that of the object, not of the body."""
_CARRY_CONTENT: Final = frozenset({"PutObject", "UploadPart", "PostObject"})
_DEEPEST: Final = 100
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def check_body(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that refuses a body which is too large, cut off or not the one that was announced.

    The layer of deployed APIs reads the bodies of their requests.
    """
    request = request_of(environ)
    if is_for_a_stage(request.path):
        return inner(environ, start_response)
    try:
        body = read_whole(environ, MOST_BYTES)
        if request.service in ("s3", ""):
            body = _check_integrity(environ, body, request)
        _check_syntax(body, request, environ)
    except BodyRefused as refused:
        return error_response(request, body_refused(request, refused))(environ, start_response)
    except RequestRefused as refused:
        return error_response(request, refused)(environ, start_response)
    return inner(environ, start_response)


# --- is it the body that was announced? ---


def _check_integrity(environ: "WSGIEnvironment", body: bytes, request: AWSRequest) -> bytes:
    """Compare a body with the digests that came with it, and return its content."""
    _check_md5(environ, body)
    sha256 = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if _DIGEST.fullmatch(sha256) and hashlib.sha256(body).hexdigest() != sha256:
        raise RequestRefused(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    if sha256.startswith("STREAMING-"):
        body = _unchunked(environ, body, sha256)
    if request.operation not in _OF_AN_OBJECT:
        checksums = _checksums(environ)
        for name, given in checksums.items():
            _check_checksum(name, given, body)
        if request.operation == "DeleteObjects" and not (
            checksums or "HTTP_CONTENT_MD5" in environ
        ):
            raise RequestRefused(
                "InvalidRequest",
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            )
    return body


def _check_md5(environ: "WSGIEnvironment", body: bytes) -> None:
    if "HTTP_CONTENT_MD5" not in environ:
        return
    wanted = _decoded(environ["HTTP_CONTENT_MD5"], 16)
    if wanted is None:
        raise RequestRefused("InvalidDigest", "The Content-MD5 you specified was invalid.")
    if hashlib.md5(body, usedforsecurity=False).digest() != wanted:
        raise RequestRefused(
            "BadDigest", "The Content-MD5 you specified did not match what we received."
        )


def _unchunked(environ: "WSGIEnvironment", body: bytes, sha256: str) -> bytes:
    """Replace a body in AWS's chunks by its content, and its trailing headers by usual ones."""
    is_signed = not sha256.startswith("STREAMING-UNSIGNED")
    content, trailers = decode(body, chunk_signer(environ) if is_signed else None)
    length = str(environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH", ""))
    if not length.isascii() or not length.isdigit():
        raise RequestRefused(
            "MissingContentLength",
            "You must provide the x-amz-decoded-content-length HTTP header.",
            411,
        )
    if int(length) != len(content):
        raise RequestRefused(
            "IncompleteBody",
            "You did not provide the number of bytes specified by the"
            " x-amz-decoded-content-length HTTP header.",
        )
    announced = environ.get("HTTP_X_AMZ_TRAILER", "").lower().replace(" ", "")
    if set(trailers) != set(filter(None, announced.split(","))):
        raise RequestRefused(
            "MalformedTrailerError", "The trailing headers are not those of x-amz-trailer."
        )
    for name, value in trailers.items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        algorithm = name.removeprefix("x-amz-checksum-")
        environ.setdefault("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", algorithm.upper())
    codings = environ.get("HTTP_CONTENT_ENCODING", "").split(",")
    left = [coding.strip() for coding in codings if coding.strip() not in ("", "aws-chunked")]
    environ.pop("HTTP_CONTENT_ENCODING", None)
    if left:
        environ["HTTP_CONTENT_ENCODING"] = ",".join(left)
    environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"  # moto would decode it again
    replace_body(environ, content)
    return content


def _checksums(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the checksums of a request's headers by the name of their algorithm."""
    prefix = "HTTP_X_AMZ_CHECKSUM_"
    names = {name: name.removeprefix(prefix).lower() for name in environ if name.startswith(prefix)}
    return {
        algorithm: environ[name]
        for name, algorithm in names.items()
        if algorithm not in ("algorithm", "mode", "type")
    }


def _check_checksum(algorithm: str, given: str, body: bytes) -> None:
    compute = _CHECKSUMS.get(algorithm)
    if compute is None:
        raise RequestRefused(
            "InvalidRequest", f"The algorithm of x-amz-checksum-{algorithm} is not known."
        )
    found = compute(body)
    wanted = _decoded(given, len(found))
    if wanted is None:
        raise RequestRefused(
            "InvalidRequest", f"Value for x-amz-checksum-{algorithm} header is invalid."
        )
    if wanted != found:
        raise RequestRefused(
            "BadDigest",
            f"The {algorithm.upper()} you specified did not match the calculated checksum.",
        )


def _decoded(text: str, size: int) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == size else None


# --- can it be read? ---


def _check_syntax(body: bytes, request: AWSRequest, environ: "WSGIEnvironment") -> None:
    """Refuse JSON and XML that the layers below could not read, or only with much memory."""
    if not body:
        return
    if request.protocol == "json" and request.service != "rekognition":  # which says it itself
        _check_json(body)
    is_content = request.operation in _CARRY_CONTENT or request.operation.endswith("Policy")
    is_form = environ.get("CONTENT_TYPE", "").startswith("multipart/form-data")
    if request.protocol == "rest-xml" and not (is_content or is_form):
        _check_xml(body)


def _check_json(body: bytes) -> None:
    try:
        document: Any = json.loads(body.decode(), parse_constant=_no_number)
        if _SURROGATE.search(body):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # a lone surrogate is a ValueError too
        document = None
    if not isinstance(document, dict):
        raise RequestRefused("SerializationException", "The body is not a JSON object.")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def _check_xml(body: bytes) -> None:
    """Check that a body is XML without declarations of entities, and not nested deeply."""
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise _malformed_xml()

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*declaration: object) -> NoReturn:
        raise _malformed_xml()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):  # the latter two for its encoding
        raise _malformed_xml() from None


def _malformed_xml() -> RequestRefused:
    return RequestRefused(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
