"""Imports of REST APIs: moto accepts fewer documents than AWS, and drops parts of them.

Source: "OpenAPI extensions for API Gateway" in the API Gateway Developer Guide.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import moto.backends
from moto.apigateway.models import Method, RestAPI
from moto.moto_api._internal import mock_random
from werkzeug.test import run_wsgi_app

from localaws.account import ACCOUNT_ID, REGION
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.wsgi import read_body, replace_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = re.compile(r"/restapis(/[^/]+)?")
_BINARY = "x-amazon-apigateway-binary-media-types"
_RESPONSES = "x-amazon-apigateway-gateway-responses"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_AUTHORIZER_TYPES = {
    "cognito_user_pools": "COGNITO_USER_POOLS",
    "token": "TOKEN",
    "request": "REQUEST",
}


def import_rest_api(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that lets moto import an API, and then adds the parts that moto has dropped.

    These are the endpoint's type, binary media types, gateway responses, authorizers, and the
    security of methods.
    """
    request = request_of(environ)
    if (
        request.service != "apigateway"
        or request.method not in ("POST", "PUT")
        or not _PATH.fullmatch(request.path)
    ):
        return inner(environ, start_response)
    document = _document(read_body(environ))
    if document is None:
        return inner(environ, start_response)
    if not _has_known_version(document):
        refused = RequestRefused("BadRequestException", "Invalid OpenAPI input.")
        return error_response(request, refused)(environ, start_response)
    replace_body(environ, _as_openapi_3(read_body(environ)))
    body, status, headers = run_wsgi_app(inner, environ, buffered=True)
    answer = b"".join(body)
    if status.startswith("2"):
        backend = moto.backends.get_backend("apigateway")[ACCOUNT_ID][REGION]
        api = backend.get_rest_api(json.loads(answer)["id"])
        _complete(api, document, overwrites=request.query.get("mode") == "overwrite")
        # Source: "ImportRestApi" in the API Gateway API Reference, parameter "parameters".
        if endpoint := request.query.get("endpointConfigurationTypes"):
            api.endpoint_configuration["types"] = [endpoint]
    start_response(status, list(headers))
    return [answer]


def _document(body: bytes) -> Any:
    """Return the API that a body defines; None if it defines none."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) and "paths" in document else None


def _has_known_version(document: Any) -> bool:
    return document.get("swagger") == "2.0" or str(document.get("openapi", "")).startswith("3.")


def _as_openapi_3(body: bytes) -> bytes:
    """Return a Swagger 2.0 document as OpenAPI 3, the only form that moto accepts."""
    api: Any = json.loads(body)
    api.setdefault("info", {}).setdefault("description", "")
    if api.pop("swagger", None):
        api["openapi"] = "3.0.1"
    for path in api["paths"].values():
        for operation in path.values():
            integration = operation.get("x-amazon-apigateway-integration", {})
            if integration.get("type", "").lower() == "mock":  # moto asks for a target here too
                integration.setdefault("uri", "")
                integration.setdefault("httpMethod", "")
    return json.dumps(api).encode()


def _complete(api: RestAPI, document: Any, *, overwrites: bool) -> None:
    """Add the parts of an imported document that moto has dropped.

    Args:
        api: as moto has made it.
        document: Swagger 2.0 or OpenAPI 3.
        overwrites: the document replaces the whole API, its gateway responses too.
    """
    schemes = document.get("securityDefinitions") or document.get("components", {}).get(
        "securitySchemes", {}
    )
    if _BINARY in document:
        api.binaryMediaTypes = list(document[_BINARY])
    if overwrites:
        api.gateway_responses.clear()
    for kind, response in document.get(_RESPONSES, {}).items():
        api.put_gateway_response(
            kind,
            response.get("statusCode"),
            response.get("responseParameters", {}),
            response.get("responseTemplates", {}),
        )
    api.authorizers.clear()
    authorizer_ids = {name: _add_authorizer(api, name, scheme) for name, scheme in schemes.items()}
    for method, operation in _methods(api, document):
        for requirement in operation.get("security", document.get("security", ())):
            for name, scopes in requirement.items():
                _secure(method, schemes.get(name, {}), authorizer_ids.get(name), scopes)


def _methods(api: RestAPI, document: Any) -> Iterator[tuple[Method, Any]]:
    resources = {resource.get_path(): resource for resource in api.resources.values()}
    for path, operations in document["paths"].items():
        for name, operation in operations.items():
            method = resources[path].resource_methods.get(name.upper())
            if method is not None:
                yield method, operation


def _add_authorizer(api: RestAPI, name: str, scheme: Any) -> str | None:
    authorizer = scheme.get(_AUTHORIZER)
    if authorizer is None:
        return None
    identifier = str(mock_random.get_random_string(6))
    api.create_authorizer(
        authorizer_id=identifier,
        name=name,
        authorizer_type=_AUTHORIZER_TYPES[authorizer["type"].lower()],
        provider_arns=authorizer.get("providerARNs"),
        auth_type=scheme.get("x-amazon-apigateway-authtype"),
        authorizer_uri=authorizer.get("authorizerUri"),
        authorizer_credentials=authorizer.get("authorizerCredentials"),
        identity_source=f"method.request.header.{scheme.get('name', 'Authorization')}",
        identiy_validation_expression=authorizer.get("identityValidationExpression"),
        authorizer_result_ttl=authorizer.get("authorizerResultTtlInSeconds"),
    )
    return identifier


def _secure(method: Method, scheme: Any, authorizer_id: str | None, scopes: list[str]) -> None:
    kind = str(scheme.get("x-amazon-apigateway-authtype", "")).lower()
    if authorizer_id is not None:
        pools = kind == "cognito_user_pools"
        method.authorization_type = "COGNITO_USER_POOLS" if pools else "CUSTOM"
        method.authorizer_id = authorizer_id
        method.authorization_scopes = scopes
    elif kind == "awssigv4":
        method.authorization_type = "AWS_IAM"
    elif scheme.get("type") == "apiKey" and scheme.get("name", "").lower() == "x-api-key":
        method.api_key_required = True
