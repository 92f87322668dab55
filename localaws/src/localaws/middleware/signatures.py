"""Signatures: only a caller with an access key gets beyond this layer."""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.loaders import Loader

from localaws.middleware.control import CONTROL
from localaws.refusals import RequestRefused, error_response
from localaws.request import AWSRequest, request_of
from localaws.services.apigateway.rest_apis import is_for_a_stage
from localaws.services.iam.identities import Identities
from localaws.services.iam.signatures import demand, stated
from localaws.services.s3.post_policy import is_form

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KEYS_OF_A_POOL: Final = re.compile(r"/[a-z]+-[a-z]+-[0-9]_[0-9A-Za-z]+/\.well-known/jwks\.json")
_USER_POOLS: Final = "AWSCognitoIdentityProviderService."
_JSON: Final = "application/x-amz-json-1.1"
_NOT_AWS: Final = ("/moto-api", "/favicon.ico", "/latest/meta-data", "/latest/api")
"""Paths of moto's own. Its ``/moto-api/reset`` would delete everything."""


def hide_motos_own_paths(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that keeps requests from moto's own paths, which AWS does not have."""
    request = request_of(environ)
    if request.path.startswith(_NOT_AWS):
        refused = RequestRefused("NoSuchBucket", "There is nothing at this address.", 404)
        return error_response(request, refused)(environ, start_response)
    return inner(environ, start_response)


class Signatures:
    """Layer that refuses requests without a valid signature, except those that AWS wants unsigned.

    Args:
        identities: know the secrets of access keys.
    """

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Pass on a request that is signed or public, and refuse any other."""
        request = request_of(environ)
        if is_for_a_stage(request.path):  # the layer of the APIs checks callers
            return inner(environ, start_response)
        try:
            authorization = _public(environ, request) or self._signed(environ, request)
        except RequestRefused as refused:
            return error_response(request, refused)(environ, start_response)
        # moto would guess the service of a request without this header from path, target and body.
        environ.setdefault("HTTP_AUTHORIZATION", authorization)
        return inner(environ, start_response)

    def _signed(self, environ: "WSGIEnvironment", request: AWSRequest) -> str:
        """Check the signature of a request, and return what it states."""
        service = None if request.path.startswith(CONTROL) else request.service
        signature = demand(environ, self._identities, service)
        return stated(signature.service, signature.access_key_id, signature.scope)


def _public(environ: "WSGIEnvironment", request: AWSRequest) -> str | None:
    """Return the service of a request that AWS takes from anybody, in a header; None if it is none.

    A public request is exactly what the service's documentation shows. Anything else could mean
    another request to moto.
    """
    if "HTTP_AUTHORIZATION" in environ or environ.get("QUERY_STRING"):
        return None
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target is None and is_form(environ):  # the layer of S3's forms checks the policy in the form
        return stated("s3")
    if target is None and request.method == "GET" and _KEYS_OF_A_POOL.fullmatch(request.path):
        return stated("cognito-idp")
    if (
        target is not None
        and target.startswith(_USER_POOLS)
        and target.removeprefix(_USER_POOLS) in _public_user_pool_operations()
        and (request.method, request.path) == ("POST", "/")
        and environ.get("CONTENT_TYPE") == _JSON
    ):
        return stated("cognito-idp")
    return None


@cache
def _public_user_pool_operations() -> frozenset[str]:
    """Return the operations with which people sign in: their requests are not signed."""
    model: Any = Loader().load_service_model("cognito-idp", "service-2")
    return frozenset(
        name for name, op in model["operations"].items() if op.get("authtype") == "none"
    )
