"""Who may call the API: what each stage's ``AUTH`` means to Chalice, which makes the wiring."""

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
