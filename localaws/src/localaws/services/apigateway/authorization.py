"""Authorization of callers: none, by IAM signature, or by the token of a Cognito user."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import time as now
from typing import Any

import moto.backends
from joserfc import jwt
from joserfc.errors import JoseError
from moto.apigateway.models import Method

from localaws.account import ACCOUNT_ID, REGION
from localaws.request import request_of
from localaws.services.apigateway.responses import ApiCall, GatewayRefusal
from localaws.services.iam.identities import Identities
from localaws.services.iam.signatures import SignatureRefused, check

_POOL = re.compile(r"arn:aws:cognito-idp:[^:]+:[^:]*:userpool/(.+)")


@dataclass(frozen=True)
class Caller:
    """The facts about a caller that its event tells the function."""

    identity: dict[str, object] = field(default_factory=dict)
    claims: Mapping[str, object] | None = None
    """The claims of a Cognito user's token; None for other callers."""


def authorize(call: ApiCall, method: Method, identities: Identities) -> Caller:
    """Check that the caller may call a method, and return the facts about the caller.

    Raises:
        GatewayRefusal: the caller may not.
    """
    kind = (method.authorization_type or "NONE").upper()
    if kind == "NONE":
        return Caller()
    if kind == "AWS_IAM":
        return _check_signature(call, identities)
    if kind == "COGNITO_USER_POOLS":
        authorizer = call.api.authorizers.get(str(method.authorizer_id))
        pools = authorizer.provider_arns if authorizer else None
        return _check_token(call, pools or [], method.authorization_scopes or [])
    raise GatewayRefusal("AUTHORIZER_CONFIGURATION_ERROR")


def _check_signature(call: ApiCall, identities: Identities) -> Caller:
    access_key_id = request_of(call.request.environ).access_key_id
    if access_key_id is None:
        raise GatewayRefusal("MISSING_AUTHENTICATION_TOKEN")
    principal = identities.principal_of(access_key_id)
    if principal is None:
        message = "The security token included in the request is invalid."
        raise GatewayRefusal("DEFAULT_4XX", message)
    try:
        check(call.request.environ, identities, "execute-api")
    except SignatureRefused:
        raise GatewayRefusal("INVALID_SIGNATURE") from None
    resource = call.arn
    if not principal.may("execute-api:Invoke", resource):
        raise GatewayRefusal(
            "ACCESS_DENIED",
            f"User: {principal.arn} is not authorized to perform: execute-api:Invoke"
            f" on resource: {resource}",
        )
    return Caller({"accessKey": access_key_id, "accountId": ACCOUNT_ID, "userArn": principal.arn})


def _check_token(call: ApiCall, pools: list[str], scopes: list[str]) -> Caller:
    """Check a JWT: an access token if the method asks for scopes, an ID token otherwise."""
    token = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
    for arn in pools:
        claims = _claims(token, arn)
        if claims is None:
            continue
        if scopes and not set(scopes) & set(str(claims.get("scope", "")).split()):
            continue
        if claims.get("token_use") == ("access" if scopes else "id"):
            return Caller(claims=claims)
    raise GatewayRefusal("UNAUTHORIZED")


def _claims(token: str, pool_arn: str) -> Mapping[str, Any] | None:
    """Return the claims of a token of a user pool; None if the token is not valid."""
    found = _POOL.fullmatch(pool_arn)
    backend = moto.backends.get_backend("cognito-idp")[ACCOUNT_ID][REGION]
    pool = backend.user_pools.get(found[1]) if found else None
    if pool is None:
        return None
    try:
        claims = jwt.decode(token, pool.json_web_key, algorithms=["RS256"]).claims
    except (JoseError, ValueError, json.JSONDecodeError):
        return None
    client = claims.get("aud") or claims.get("client_id")
    issuer = f"https://cognito-idp.{REGION}.amazonaws.com/{pool.id}"
    valid = claims.get("iss") == issuer and client in pool.clients
    return claims if valid and claims.get("exp", 0) > now() else None
