"""Browser uploads to S3 with a signed POST policy: enforced here, since moto accepts anything.

Source: "Browser-Based Uploads Using POST" in the Amazon S3 API reference.
"""

import base64
import hashlib
import hmac
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from werkzeug.formparser import parse_form_data
from werkzeug.wrappers import Response

from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SecretFor = Callable[[str], str | None]
"""Gives the secret key of an access key id; None when there is no such access key."""
TokenFor = Callable[[str], str | None]
"""Gives the session token of temporary credentials; None for an access key that needs none."""

_NEED_NO_CONDITION = frozenset(
    {"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file", "x-amz-security-token"}
)


class Refused(Exception):
    """S3's answer to an upload that the policy does not allow."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class PostPolicies:
    """WSGI middleware that lets through only uploads which their policy allows."""

    def __init__(self, app: "WSGIApplication", secret_for: SecretFor, token_for: TokenFor) -> None:
        """Take moto's application, and what knows the access keys."""
        self._app = app
        self._secret_for = secret_for
        self._token_for = token_for

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Check a form upload to a bucket; pass on everything else as it is."""
        if not _is_upload(environ):
            return self._app(environ, start_response)
        bucket = environ.get("PATH_INFO", "").strip("/")
        body = read_body(environ)
        try:
            fields, size = _form({**environ, "wsgi.input": io.BytesIO(body)})
            check({**fields, "bucket": bucket}, size, self._secret_for, self._token_for)
        except Refused as refused:
            return _refusal(refused)(environ, start_response)
        return self._app(environ, start_response)


def form_of(environ: "WSGIEnvironment") -> dict[str, str] | None:
    """Return the fields of an upload by form, names in lower case; None for anything else."""
    if not _is_upload(environ):
        return None
    body = read_body(environ)
    try:
        return _form({**environ, "wsgi.input": io.BytesIO(body)})[0]
    except Refused:  # which is how it will be answered
        return None


def _is_upload(environ: "WSGIEnvironment") -> bool:
    bucket = environ.get("PATH_INFO", "").strip("/")
    is_form = environ.get("CONTENT_TYPE", "").startswith("multipart/form-data")
    return environ["REQUEST_METHOD"] == "POST" and is_form and bool(bucket) and "/" not in bucket


def _no_token(access_key_id: str) -> str | None:
    return None


def check(
    fields: Mapping[str, str],
    size: int,
    secret_for: SecretFor,
    token_for: TokenFor = _no_token,
) -> None:
    """Check a form's fields (names in lower case) and the size of its file in bytes.

    Raises:
        Refused: signature, expiry or a condition of the policy forbids it.
    """
    if "policy" not in fields:
        raise _denied("Access Denied")
    _check_signature(fields, secret_for, token_for)
    try:
        policy = json.loads(base64.b64decode(fields["policy"]))
        expiry = datetime.fromisoformat(policy["expiration"]).astimezone(UTC)
        conditions = [_condition(condition) for condition in policy["conditions"]]
    except (ValueError, KeyError, TypeError, AttributeError):  # binascii.Error is a ValueError
        raise Refused(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from None
    if expiry < datetime.now(UTC):
        raise _denied("Invalid according to Policy: Policy expired.")
    named = set()
    for operator, name, value in conditions:
        if operator == "content-length-range":
            _check_size(size, name, value)
            continue
        named.add(name)
        given = fields.get(name, "")
        if not (given == value if operator == "eq" else given.startswith(value)):
            condition = json.dumps([operator, f"${name}", value])
            raise _denied(f"Invalid according to Policy: Policy Condition failed: {condition}")
    extra = sorted(set(fields) - named - _NEED_NO_CONDITION - {"bucket"})
    extra = [name for name in extra if not name.startswith("x-ignore-")]
    if extra:
        raise _denied(f"Invalid according to Policy: Extra input fields: {', '.join(extra)}")


def _condition(condition: Any) -> tuple[str, Any, Any]:
    """Read one condition: operator, field name in lower case, value; or a range of sizes."""
    if isinstance(condition, dict):
        ((name, value),) = condition.items()
        return "eq", name.lower(), str(value)
    operator, name, value = condition
    match operator.lower():
        case "content-length-range":
            return "content-length-range", int(name), int(value)
        case "eq" | "starts-with" as known:
            return known, name.removeprefix("$").lower(), str(value)
    raise ValueError(operator)


def _check_signature(fields: Mapping[str, str], secret_for: SecretFor, token_for: TokenFor) -> None:
    credential = fields.get("x-amz-credential", "").split("/")
    secret = secret_for(credential[0])
    if secret is None:
        raise Refused(
            403,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        )
    if fields.get("x-amz-security-token") != token_for(credential[0]):
        raise Refused(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
    key = f"AWS4{secret}".encode()
    for part in credential[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest()
    given = fields.get("x-amz-signature", "")
    is_version_4 = fields.get("x-amz-algorithm") == "AWS4-HMAC-SHA256"
    if not is_version_4 or not hmac.compare_digest(signature.encode(), given.encode()):
        raise Refused(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided."
            " Check your key and signing method.",
        )


def _check_size(size: int, least: int, most: int) -> None:
    if size < least:
        raise Refused(
            400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
        )
    if size > most:
        raise Refused(
            400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
        )


def _form(environ: "WSGIEnvironment") -> tuple[dict[str, str], int]:
    """Read a form: its fields with names in lower case, and the size of its file.

    Raises:
        Refused: it holds no file, or several.
    """
    _, form, files = parse_form_data(environ)
    fields = {name.lower(): value for name, value in form.items()}
    if len(files.getlist("file")) + len(form.getlist("file")) != 1:
        raise Refused(400, "InvalidArgument", "POST requires exactly one file upload per request.")
    file = files.get("file")
    size = len(file.read()) if file else len(form.get("file", "").encode())
    file_name = (file.filename if file else None) or ""
    fields["key"] = fields.get("key", "").replace("${filename}", file_name)
    return fields, size


def _denied(message: str) -> Refused:
    return Refused(403, "AccessDenied", message)


def _refusal(refused: Refused) -> Response:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{refused.code}</Code><Message>{escape(refused.message)}</Message></Error>"
    )
    return Response(body, refused.status, content_type="application/xml")
