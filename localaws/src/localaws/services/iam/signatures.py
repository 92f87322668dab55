"""Checks of signatures, version 4."""

import hmac
from typing import TYPE_CHECKING

from botocore import awsrequest
from botocore.auth import SigV4Auth
from botocore.credentials import Credentials

from localaws.request import request_of
from localaws.services.iam.identities import secret_of, token_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def is_signed(environ: "WSGIEnvironment", body: bytes, service: str) -> bool:
    """Return whether the header of a request holds a valid signature.

    Args:
        environ: the request.
        body: its body, which is signed too.
        service: the service that the signature must be for.
    """
    signature = request_of(environ).signature
    if signature is None or signature.service != service:
        return False
    secret = secret_of(signature.access_key_id)
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
    if secret is None or token != token_of(signature.access_key_id):
        return False
    if not {"host", "x-amz-date"} <= set(signature.signed_headers):
        return False
    headers = {name: _header(environ, name) for name in signature.signed_headers}
    uri = environ.get("REQUEST_URI") or environ["PATH_INFO"]
    request = awsrequest.AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{environ['HTTP_HOST']}{uri}",
        data=body,
        headers=headers,
    )
    request.context["timestamp"] = headers["x-amz-date"]
    credentials = Credentials(signature.access_key_id, secret, token)
    signer = SigV4Auth(credentials, service, signature.region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    return hmac.compare_digest(signer.signature(to_sign, request), signature.value)


def _header(environ: "WSGIEnvironment", name: str) -> str:
    key = name.upper().replace("-", "_")
    if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        return str(environ.get(key, ""))
    return str(environ.get(f"HTTP_{key}", ""))
