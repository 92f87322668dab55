"""Who may call the API, as each stage's ``AUTH`` says it to Chalice, and who does."""

from collections.abc import Mapping
from typing import Any

from chalice.app import CognitoUserPoolAuthorizer, IAMAuthorizer

from chalicelib.settings import Settings


def access(settings: Settings) -> dict[str, Any]:
    """Return the arguments with which a route lets in only whom the stage wants.

    API Gateway enforces them: nobody else's request reaches the function.
    """
    match settings.auth:
        case "api-key":
            return {"api_key_required": True}
        case "iam":
            return {"authorizer": IAMAuthorizer()}
        case "cognito":
            pools = [settings.cognito_user_pool_arn]
            return {"authorizer": CognitoUserPoolAuthorizer("users", provider_arns=pools)}
        case "none":
            return {}


def caller(context: Mapping[str, Any]) -> str | None:
    """Say who asks, by API Gateway's request context; None where the API asks nobody who it is.

    The id is kept as it is: it names a client of the service or one of its operators, not the
    person registered, and an auditor has to be able to read it.
    """
    identity = context.get("identity") or {}
    claims = (context.get("authorizer") or {}).get("claims") or {}
    if claims.get("sub"):
        return f"cognito:{claims['sub']}"
    if identity.get("userArn"):
        return str(identity["userArn"])
    if identity.get("apiKeyId"):
        return f"key:{identity['apiKeyId']}"
    return None
