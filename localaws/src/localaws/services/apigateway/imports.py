"""What moto leaves out of an imported API: keys, authorizers, binary types, gateway responses.

Source: "OpenAPI extensions for API Gateway" in the API Gateway Developer Guide.
"""

from collections.abc import Iterator
from typing import Any

from moto.apigateway.models import Method, RestAPI
from moto.moto_api._internal import mock_random

_BINARY = "x-amazon-apigateway-binary-media-types"
_RESPONSES = "x-amazon-apigateway-gateway-responses"
_AUTHORIZER = "x-amazon-apigateway-authorizer"
_AUTHORIZER_TYPES = {
    "cognito_user_pools": "COGNITO_USER_POOLS",
    "token": "TOKEN",
    "request": "REQUEST",
}


def complete(api: RestAPI, document: Any, *, overwrites: bool = False) -> None:
    """Add to an API what the document that was imported says and moto has not taken.

    Args:
        api: as moto has made it.
        document: Swagger 2.0 or OpenAPI 3.
        overwrites: whether it takes the place of what the API was, gateway responses included.
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
