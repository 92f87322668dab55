"""Who may call the API, as the ``AUTH`` of each stage says, and who calls it."""

from collections.abc import Mapping
from typing import Any

from chalice.app import CognitoUserPoolAuthorizer, IAMAuthorizer

from chalicelib.settings import Settings


def access(settings: Settings) -> dict[str, Any]:
    """Return the arguments of a Chalice route that admit only the callers of this stage.

    API Gateway enforces them: other requests do not reach the function.
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
    """Return the id of the caller from API Gateway's request context; None if the API is open.

    The id is not hashed. It names a client or an operator of the service, not a registered person,
    and an auditor has to be able to read it.
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
