"""Signatures of requests, version 4: whose they are, and whether they are right."""

import hmac
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localaws.services.iam.identities import secret_of, token_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]+)"
)


def credential_of(environ: "WSGIEnvironment") -> str | None:
    """Return the access key id that a request is signed with, in a header or in its address."""
    if found := _HEADER.match(environ.get("HTTP_AUTHORIZATION", "")):
        return str(found["key"])
    query = parse_qs(environ.get("QUERY_STRING", ""))
    if credential := query.get("X-Amz-Credential"):
        return str(credential[0]).split("/", maxsplit=1)[0]
    return next(iter(query.get("AWSAccessKeyId", [])), None)


def service_of(environ: "WSGIEnvironment") -> str:
    """Return the service that a request is signed for; nothing where it does not say."""
    if found := _HEADER.match(environ.get("HTTP_AUTHORIZATION", "")):
        return str(found["service"])
    credential = parse_qs(environ.get("QUERY_STRING", "")).get("X-Amz-Credential", [""])[0]
    return credential.split("/")[3] if credential.count("/") == 4 else ""


def is_signed(environ: "WSGIEnvironment", body: bytes, service: str) -> bool:
    """Say whether the header of a request signs it, with its body, for a service."""
    found = _HEADER.match(environ.get("HTTP_AUTHORIZATION", ""))
    if found is None or found["service"] != service:
        return False
    secret = secret_of(found["key"])
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    if secret is None or token != token_of(found["key"]):
        return False
    names = found["headers"].split(";")
    if not {"host", "x-amz-date"} <= set(names):
        return False
    headers = {name: _header(environ, name) for name in names}
    uri = environ.get("REQUEST_URI") or environ["PATH_INFO"]
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ['HTTP_HOST']}{uri}",
        data=body,
        headers=headers,
    )
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(found["key"], secret, token), service, found["region"])
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return hmac.compare_digest(signer.signature(to_sign, request), found["signature"])


def _header(environ: "WSGIEnvironment", name: str) -> str:
    key = name.upper().replace("-", "_")
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return str(environ.get(key, ""))
    return str(environ.get(f"HTTP_{key}", ""))
