"""Who may call a method of an API: anybody, who signs with IAM credentials, or users of a pool."""

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
from localaws.services.apigateway.responses import Call, Refused
from localaws.services.iam.identities import principal_of
from localaws.signatures import credential_of, is_signed

_POOL = re.compile(r"arn:aws:cognito-idp:[^:]+:[^:]*:userpool/(.+)")


@dataclass(frozen=True)
class Caller:
    """What a function is told of who calls it."""

    identity: dict[str, object] = field(default_factory=dict)
    claims: Mapping[str, object] | None = None
    """Of the token of a user of a pool."""


class Authorization:
    """Checks the callers of deployed APIs."""

    def check(self, call: Call, method: Method) -> Caller:
        """Check who calls a method.

        Raises:
            Refused: the caller may not.
        """
        kind = (method.authorization_type or "NONE").upper()
        if kind == "NONE":
            return Caller()
        if kind == "AWS_IAM":
            return _check_signature(call)
        if kind == "COGNITO_USER_POOLS":
            authorizer = call.api.authorizers.get(str(method.authorizer_id))
            pools = authorizer.provider_arns if authorizer else None
            return _check_token(call, pools or [], method.authorization_scopes or [])
        raise Refused("AUTHORIZER_CONFIGURATION_ERROR")


def _check_signature(call: Call) -> Caller:
    access_key_id = credential_of(call.request.environ)
    if access_key_id is None:
        raise Refused("MISSING_AUTHENTICATION_TOKEN")
    principal = principal_of(access_key_id)
    if principal is None:
        raise Refused("DEFAULT_4XX", "The security token included in the request is invalid.")
    if not is_signed(call.request.environ, call.body, "execute-api"):
        raise Refused("INVALID_SIGNATURE")
    what = f"{call.api.id}/{call.stage}/{call.request.method}{call.path}"
    resource = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}:{what}"
    if not principal.may("execute-api:Invoke", resource):
        raise Refused(
            "ACCESS_DENIED",
            f"User: {principal.arn} is not authorized to perform: execute-api:Invoke"
            f" on resource: {resource}",
        )
    return Caller({"accessKey": access_key_id, "accountId": ACCOUNT_ID, "userArn": principal.arn})


def _check_token(call: Call, pools: list[str], scopes: list[str]) -> Caller:
    """Check a JWT: an ID token, or an access token where the method asks for scopes."""
    token = call.request.headers.get("Authorization", "").removeprefix("Bearer ")
    for arn in pools:
        claims = _claims(token, arn)
        if claims is None:
            continue
        if scopes and not set(scopes) & set(str(claims.get("scope", "")).split()):
            continue
        if claims.get("token_use") == ("access" if scopes else "id"):
            return Caller(claims=claims)
    raise Refused("UNAUTHORIZED")


def _claims(token: str, pool_arn: str) -> Mapping[str, Any] | None:
    """Return what a token of a pool says; None when it is not valid."""
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
