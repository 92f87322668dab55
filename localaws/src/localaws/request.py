"""A request to AWS as the layers see it: parsed once, kept in the WSGI environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from urllib.parse import parse_qsl

from localaws.account import ACCOUNT_ID, REGION
from localaws.service_models import REST_SERVICES, rest_operation, s3_operation

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Protocol: TypeAlias = Literal["rest-xml", "query", "json", "rest-json"]
"""AWS's names for the forms of requests and answers."""

_PARSED: Final = "localaws.request"
_SIGNATURE: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/\d{8}/(?P<region>[^/,]+)/(?P<service>[^/,]+)"
    r"/aws4_request"
)
_CALLER: Final = re.compile(r"(?:^| )app/(\S+)")
# These headers name the service even where a request is not signed.
_TARGETS: Final = {
    "DynamoDB_": "dynamodb",
    "AmazonSQS": "sqs",
    "RekognitionService.": "rekognition",
}


@dataclass(frozen=True)
class AWSRequest:
    """Who calls which operation of which service."""

    method: str
    path: str
    query: Mapping[str, str]
    service: str
    """The name that requests are signed for, such as ``s3``; empty where it is unknown.

    A request without a signature and without ``X-Amz-Target`` is for S3.
    """
    operation: str
    """AWS's name, such as ``PutObject``; empty where it is unknown."""
    protocol: Protocol
    region: str
    """The region of the signature's header, as moto reads it; ``us-east-1`` without one."""
    account: str
    caller: str
    """The application id of the caller's SDK (``AWS_SDK_UA_APP_ID``); empty without one."""
    access_key_id: str | None
    """The key of the signature, in a header or in the address; None without a signature."""
    bucket: str
    """S3's bucket in the path; empty for other services."""
    key: str
    """S3's key in the path; empty for other services and for a bucket."""


def request_of(environ: "WSGIEnvironment") -> AWSRequest:
    """Return the request of a WSGI environment, which is parsed on the first call."""
    parsed: AWSRequest | None = environ.get(_PARSED)
    if parsed is None:
        parsed = environ[_PARSED] = _parse(environ)
    return parsed


def _parse(environ: "WSGIEnvironment") -> AWSRequest:
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    signature = _SIGNATURE.match(environ.get("HTTP_AUTHORIZATION", ""))
    service = _service(target, signature, query)
    bucket, key = _s3_location(path) if service == "s3" else ("", "")
    if target:
        operation = target.rpartition(".")[2]
    elif service == "s3":
        operation = s3_operation(method, bucket, key, query, environ)
    elif service in REST_SERVICES:
        operation = rest_operation(service, method, path, query)
    else:
        operation = ""
    caller = _CALLER.search(environ.get("HTTP_USER_AGENT", ""))
    return AWSRequest(
        method=method,
        path=path,
        query=query,
        service=service,
        operation=operation,
        protocol=_protocol(service, target, environ.get("CONTENT_TYPE", "")),
        region=signature["region"] if signature else REGION,
        account=ACCOUNT_ID,
        caller=caller[1] if caller else "",
        access_key_id=_access_key_id(signature, query),
        bucket=bucket,
        key=key,
    )


def _service(target: str, signature: re.Match[str] | None, query: Mapping[str, str]) -> str:
    for prefix, service in _TARGETS.items():
        if target.startswith(prefix):
            return service
    if signature:
        return signature["service"]
    credential = query.get("X-Amz-Credential", "").split("/")
    if len(credential) == 5:
        return credential[3]
    return "" if target else "s3"


def _access_key_id(signature: re.Match[str] | None, query: Mapping[str, str]) -> str | None:
    if signature:
        return signature["key"]
    if credential := query.get("X-Amz-Credential"):
        return credential.split("/", maxsplit=1)[0]
    return query.get("AWSAccessKeyId") or None


def _protocol(service: str, target: str, content_type: str) -> Protocol:
    if service == "s3" and not target:
        return "rest-xml"
    if content_type.startswith("application/x-www-form-urlencoded"):
        return "query"
    return "json" if target else "rest-json"


def _s3_location(path: str) -> tuple[str, str]:
    """Return the bucket and the key of a path, which WSGI gives as Latin-1."""
    path = path.encode("latin-1", "replace").decode(errors="replace")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key
