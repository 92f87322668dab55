"""Lambda proxy integrations: the event for the function, and the answer from its result.

Source: "Lambda proxy integrations in API Gateway" in the API Gateway Developer Guide.
"""

import base64
import binascii
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from localaws.account import ACCOUNT_ID
from localaws.services.apigateway.responses import ApiCall, GatewayRefusal


def event(call: ApiCall, resource_id: str, resource: str, parameters: dict[str, str]) -> Any:
    """Return the event for the function.

    Args:
        call: the request.
        resource_id: the id of the resource that matches the request's path.
        resource: the resource's path, with the names of parameters in braces.
        parameters: the values of the parameters.
    """
    request, now = call.request, time.time()
    headers: dict[str, list[str]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    headers["X-Forwarded-For"] = [str(request.remote_addr)]
    headers["X-Forwarded-Proto"] = ["https"]
    query = {name: request.args.getlist(name) for name in request.args}
    binary = _is_binary(request.headers.get("Content-Type", ""), call.api.binaryMediaTypes)
    text = base64.b64encode(call.body).decode() if binary else call.body.decode(errors="replace")
    return {
        "resource": resource,
        "path": call.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()} or None,
        "multiValueHeaders": headers or None,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters or None,
        "stageVariables": call.api.stages[call.stage].variables or None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": call.api.id,
            **({"authorizer": {"claims": call.claims}} if call.claims is not None else {}),
            "domainName": request.host,
            "extendedRequestId": call.request_id,
            "httpMethod": request.method,
            "identity": {
                "sourceIp": request.remote_addr,
                "userAgent": request.headers.get("User-Agent"),
                **call.identity,
            },
            "path": f"/{call.stage}{call.path}",
            "protocol": request.environ.get("SERVER_PROTOCOL", "HTTP/1.1"),
            "requestId": call.request_id,
            "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "requestTimeEpoch": round(now * 1000),
            "resourceId": resource_id,
            "resourcePath": resource,
            "stage": call.stage,
        },
        "body": text or None,
        "isBase64Encoded": bool(text) and binary,
    }


def response(call: ApiCall, result: bytes) -> Response:
    """Return the answer that a function's result describes.

    Raises:
        GatewayRefusal: the result is malformed.
    """
    try:
        answer = json.loads(result)
        status = int(answer["statusCode"])
        body = answer.get("body")
        if not isinstance(body, str | None) or not 100 <= status <= 599:
            raise TypeError(body)
        content = (body or "").encode()
        # Like API Gateway: bytes only for callers whose first accepted type is binary.
        wanted = call.request.headers.get("Accept", "").split(",")[0]
        if answer.get("isBase64Encoded") and _is_binary(wanted, call.api.binaryMediaTypes):
            content = base64.b64decode(content, validate=True)
        headers = _headers(answer.get("headers"), answer.get("multiValueHeaders"))
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise GatewayRefusal("DEFAULT_5XX") from error
    headers.setdefault("Content-Type", "application/json")
    headers["x-amzn-RequestId"] = call.request_id
    return Response(content, status, headers)


def _headers(single: Any, several: Any) -> Headers:
    headers = Headers()
    for name, values in (several or {}).items():
        for value in values:
            headers.add(name, _text(value))
    for name, value in (single or {}).items():
        if name not in (several or {}):
            headers[name] = _text(value)
    return headers


def _text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        raise TypeError(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_binary(media_type: str, binary: list[str]) -> bool:
    media_type = media_type.split(";", maxsplit=1)[0].strip().lower()
    return any(kind in ("*/*", media_type) for kind in map(str.lower, binary))
