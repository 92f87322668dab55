"""Signatures: only a caller with an access key gets beyond this layer."""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from botocore.loaders import Loader

from localaws.refusals import RequestRefused, error_response
from localaws.request import AWSRequest, request_of
from localaws.services.apigateway.rest_apis import is_for_a_stage
from localaws.services.iam.identities import Identities
from localaws.services.iam.signatures import SignatureRefused, check, refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# moto takes a part before the first "_" of a path for a service's name; buckets have no "_".
_BUCKET: Final = re.compile(r"/[a-z0-9][a-z0-9.-]+/?")
_OBJECT_OR_BUCKET: Final = re.compile(r"/[a-z0-9][a-z0-9.-]+(/.*)?", re.DOTALL)
_KEYS_OF_A_POOL: Final = re.compile(r"/[a-z]+-[a-z]+-[0-9]_[0-9A-Za-z]+/\.well-known/jwks\.json")
_USER_POOLS: Final = "AWSCognitoIdentityProviderService."
_NOT_AWS: Final = ("/moto-api", "/favicon.ico", "/latest/meta-data", "/latest/api")
"""Paths of moto's own. Its ``/moto-api/reset`` would delete everything."""


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
        try:
            if request.path.startswith(_NOT_AWS):
                raise RequestRefused("NoSuchBucket", "There is nothing at this address.", 404)
            if not _is_public(environ, request):
                check(environ, self._identities, request.service)
        except SignatureRefused as refused:
            return error_response(request, refusal(request, refused))(environ, start_response)
        except RequestRefused as refused:
            return error_response(request, refused)(environ, start_response)
        return inner(environ, start_response)


def _is_public(environ: "WSGIEnvironment", request: AWSRequest) -> bool:
    """Return whether AWS answers a request to anybody, after checks of another kind or none.

    Each case fixes all that moto looks at to find the service that gets the request.
    """
    if is_for_a_stage(request.path):  # the layer of the APIs checks callers
        return True
    if "HTTP_AUTHORIZATION" in environ or request.access_key_id is not None:
        return False
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target is not None:
        operation = target.removeprefix(_USER_POOLS)
        is_call = request.method == "POST" and request.path == "/" and operation != target
        return is_call and operation in _public_user_pool_operations()
    media_type = environ.get("CONTENT_TYPE", "")
    if request.method == "POST":  # the layer of S3's forms checks the policy in the form
        is_form = media_type.startswith("multipart/form-data")
        return is_form and _BUCKET.fullmatch(request.path) is not None
    if request.method == "OPTIONS":  # a browser asks for the CORS rules of a bucket
        return not media_type and _OBJECT_OR_BUCKET.fullmatch(request.path) is not None
    return request.method == "GET" and _KEYS_OF_A_POOL.fullmatch(request.path) is not None


@cache
def _public_user_pool_operations() -> frozenset[str]:
    """Return the operations with which people sign in: their requests are not signed."""
    model: Any = Loader().load_service_model("cognito-idp", "service-2")
    return frozenset(
        name for name, op in model["operations"].items() if op.get("authtype") == "none"
    )
