"""Browser uploads to S3 with a signed POST policy, which moto does not check.

Source: "Browser-Based Uploads Using POST" in the Amazon S3 API reference.
"""

import base64
import hashlib
import hmac
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from werkzeug.exceptions import HTTPException
from werkzeug.formparser import parse_form_data
from werkzeug.test import stream_encode_multipart

from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.wsgi import read_body, replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SecretFor = Callable[[str], str | None]
"""Returns the secret key of an access key id; None if the access key does not exist."""
TokenFor = Callable[[str], str | None]
"""Returns the session token of temporary credentials; None for an access key that needs none."""

_PARSED: Final = "localaws.post_form"
_NEED_NO_CONDITION = frozenset(
    {"policy", "x-amz-signature", "signature", "awsaccesskeyid", "file", "x-amz-security-token"}
)


@dataclass(frozen=True)
class PostForm:
    """The form of a browser's upload to a bucket."""

    fields: Mapping[str, str]
    """Their names are in lower case."""
    size: int
    """The bytes of the file."""

    @property
    def access_key_id(self) -> str:
        """The access key that the form says it is signed with; empty if it says none."""
        return self.fields.get("x-amz-credential", "").split("/")[0]


class PostPolicies:
    """Layer that refuses uploads by form which break their policy."""

    def __init__(self, secret_for: SecretFor, token_for: TokenFor) -> None:
        self._secret_for = secret_for
        self._token_for = token_for

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Check an upload by form; pass on all other requests."""
        request = request_of(environ)
        try:
            form = form_of(environ)
            if form is not None:
                fields = {**form.fields, "bucket": request.bucket}
                check(fields, form.size, self._secret_for, self._token_for)
        except RequestRefused as refused:
            return error_response(request, refused)(environ, start_response)
        return inner(environ, start_response)


def is_form(environ: "WSGIEnvironment") -> bool:
    """Return whether a request is an upload by form.

    With a query, such as ``?delete``, it is another operation to S3.
    """
    request = request_of(environ)
    return (
        request.method == "POST"
        and bool(request.bucket)
        and not (request.key or environ.get("QUERY_STRING"))
        and environ.get("CONTENT_TYPE", "").startswith("multipart/form-data")
    )


def form_of(environ: "WSGIEnvironment") -> PostForm | None:
    """Return the form of an upload, parsed on the first call; None for any other request.

    Raises:
        RequestRefused: the form holds no file, or several.
    """
    if not is_form(environ):
        return None
    form: PostForm | None = environ.get(_PARSED)
    if form is None:
        form = environ[_PARSED] = _parse(environ)
    return form


def _no_token(access_key_id: str) -> str | None:
    return None


def check(
    fields: Mapping[str, str],
    size: int,
    secret_for: SecretFor,
    token_for: TokenFor = _no_token,
) -> None:
    """Check a form against its policy.

    Args:
        fields: the form's fields, with names in lower case, and the field ``bucket``.
        size: the bytes of the file.
        secret_for: finds secret keys.
        token_for: finds session tokens.

    Raises:
        RequestRefused: the signature is wrong, the policy has expired, or a condition is broken.
    """
    if "policy" not in fields:
        raise _denied("Access Denied")
    _check_signature(fields, secret_for, token_for)
    try:
        policy = json.loads(base64.b64decode(fields["policy"]))
        expiry = datetime.fromisoformat(policy["expiration"]).astimezone(UTC)
        conditions = [_condition(condition) for condition in policy["conditions"]]
    except (ValueError, KeyError, TypeError, AttributeError):  # binascii.Error is a ValueError
        raise RequestRefused("InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from None
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
    """Return operator, field name in lower case, and value of a condition.

    For ``content-length-range`` it is the operator, and the least and the most bytes.
    """
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
        raise RequestRefused(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            403,
        )
    if fields.get("x-amz-security-token") != token_for(credential[0]):
        raise RequestRefused(
            "InvalidToken", "The provided token is malformed or otherwise invalid."
        )
    key = f"AWS4{secret}".encode()
    for part in credential[1:]:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest()
    given = fields.get("x-amz-signature", "")
    is_version_4 = fields.get("x-amz-algorithm") == "AWS4-HMAC-SHA256"
    if not is_version_4 or not hmac.compare_digest(signature.encode(), given.encode()):
        raise RequestRefused(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided."
            " Check your key and signing method.",
            403,
        )


def _check_size(size: int, least: int, most: int) -> None:
    if size < least:
        raise RequestRefused(
            "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
        )
    if size > most:
        raise RequestRefused(
            "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
        )


def _parse(environ: "WSGIEnvironment") -> PostForm:
    stream = io.BytesIO(read_body(environ))
    try:
        _, form, files = parse_form_data({**environ, "wsgi.input": stream}, silent=False)
    except (ValueError, HTTPException):  # for example, it does not end with its boundary
        raise RequestRefused(
            "MalformedPOSTRequest",
            "The body of your POST request is not well-formed multipart/form-data.",
        ) from None
    names = Counter(name.lower() for name, _ in [*form.items(multi=True), *files.items(multi=True)])
    if names["file"] != 1 or not files.keys() <= {"file"}:
        raise RequestRefused(
            "InvalidArgument", "POST requires exactly one file upload per request."
        )
    repeated, count = names.most_common(1)[0]
    if count > 1:  # moto may take another one of them than the one that is checked here
        raise RequestRefused("InvalidArgument", f"The form has more than one field {repeated}.")
    fields = {name.lower(): value for name, value in form.items()}
    file = files.get("file")
    size = len(file.read()) if file else len(form.get("file", "").encode())
    file_name = (file.filename if file else None) or ""
    fields["key"] = fields.get("key", "").replace("${filename}", file_name)
    if file is not None:
        file.seek(0)
    # moto gets exactly what is checked here; it knows the names of fields in lower case only.
    content: dict[str, Any] = {**fields, "file": file or form["file"]}
    encoded, length, boundary = stream_encode_multipart(content)
    replace_body(environ, encoded.read(length))
    environ["CONTENT_TYPE"] = f"multipart/form-data; boundary={boundary}"
    return PostForm(fields, size)


def _denied(message: str) -> RequestRefused:
    return RequestRefused("AccessDenied", message, 403)
