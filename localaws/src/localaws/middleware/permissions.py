"""Permissions: requests of restricted callers are answered only if their policies allow them."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from werkzeug.test import run_wsgi_app

from localaws.account import ACCOUNT_ID
from localaws.refusals import RequestRefused, access_denied, error_response
from localaws.request import AWSRequest, request_of
from localaws.services.dynamodb import permissions as dynamodb
from localaws.services.iam import permissions as iam
from localaws.services.iam.identities import Identities, Principal
from localaws.services.iam.permissions import Need, UnknownNeeds
from localaws.services.iam.policies import PolicyNotUnderstood
from localaws.services.logs import permissions as logs
from localaws.services.rekognition import permissions as rekognition
from localaws.services.s3 import permissions as s3
from localaws.services.s3.post_policy import PostForm, form_of
from localaws.services.sqs import permissions as sqs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

MOST_KEPT: Final = 100_000

_NEEDS: Final[dict[str, Callable[[AWSRequest, "WSGIEnvironment"], Iterable[Need]]]] = {
    "dynamodb": dynamodb.needs,
    "logs": logs.needs,
    "rekognition": rekognition.needs,
    "s3": s3.needs,
    "sqs": sqs.needs,
    "sts": iam.needs_of_sts,
}


class Check(NamedTuple):
    """A permission that a restricted caller needed, and whether it was granted."""

    principal: str
    action: str
    resource: str
    allowed: bool


class Permissions:
    """Layer that evaluates policies before requests are answered.

    Sessions of roles are restricted, and callers that :meth:`restrict` names. All others may do
    everything.
    """

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._roles: dict[str, Principal] = {}
        self._role_of: Callable[[str], str | None] = lambda caller: caller
        self.asked: deque[Check] = deque(maxlen=MOST_KEPT)
        """The last permissions that restricted callers needed."""

    def restrict(
        self,
        policies: Mapping[str, Any],
        role_of: Callable[[str], str | None] = lambda caller: caller,
    ) -> None:
        """Evaluate policies for callers that have no session of a role.

        Args:
            policies: policy documents by the names of roles.
            role_of: returns the role of a caller, given the application id of its SDK.
        """
        self._role_of = role_of
        self._roles = {
            name: Principal(f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{name}", (document,))
            for name, document in policies.items()
        }

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Pass on a request that is allowed, and refuse one that is not."""
        request = request_of(environ)
        form = _form(environ)
        principal = self._principal(request, form)
        if principal is None or principal.documents is None:
            return inner(environ, start_response)
        try:
            for need in _needs(request, environ, form):
                self._demand(request, principal, need)
            if request.service == "s3" and request.operation in ("GetObject", "HeadObject"):
                return self._hide_missing_key(principal, environ, start_response, inner)
        except UnknownNeeds as unknown:
            logger.error("denied: it is not known which permissions %s needs", unknown)
            refused = access_denied(request, f"{unknown} is not evaluated here")
            return error_response(request, refused)(environ, start_response)
        except RequestRefused as refused:
            return error_response(request, refused)(environ, start_response)
        return inner(environ, start_response)

    def _principal(self, request: AWSRequest, form: PostForm | None) -> Principal | None:
        if self._roles:
            restricted = self._roles.get(self._role_of(request.caller) or "")
            if restricted is not None:
                return restricted
        access_key_id = form.access_key_id if form else request.access_key_id
        return self._identities.principal_of(access_key_id) if access_key_id else None

    def _demand(self, request: AWSRequest, principal: Principal, need: Need) -> None:
        """Evaluate and record one need.

        Raises:
            RequestRefused: the principal lacks the permission.
        """
        try:
            allowed = principal.may(*need)
        except PolicyNotUnderstood as error:
            message = f"the policies of {principal.arn} are not understood: {error}"
            logger.error("%s", message)
            raise access_denied(request, message) from None
        self.asked.append(Check(principal.arn, *need, allowed))
        if not allowed:
            raise access_denied(
                request,
                f"User: {principal.arn} is not authorized to perform: {need.action}"
                f" on resource: {need.resource} because no identity-based policy allows the"
                f" {need.action} action",
            )

    def _hide_missing_key(
        self,
        principal: Principal,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer a read. Only a caller who may list the bucket learns that a key is missing."""
        request = request_of(environ)
        body, status, headers = run_wsgi_app(inner, environ, buffered=True)
        if status.startswith("404"):
            self._demand(request, principal, s3.list_bucket(request.bucket))
        start_response(status, list(headers))
        return body


def _form(environ: "WSGIEnvironment") -> PostForm | None:
    try:
        return form_of(environ)
    except RequestRefused:  # a malformed form; the layer of S3's forms says so
        return None


def _needs(
    request: AWSRequest, environ: "WSGIEnvironment", form: PostForm | None
) -> Iterable[Need]:
    """Return all permissions that a request needs.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    if form is not None:
        return [s3.post_object(request.bucket, form.fields.get("key", ""))]
    try:
        return list(_NEEDS[request.service](request, environ))
    except (KeyError, ValueError, TypeError) as error:
        operation = request.operation or f"{request.method} on {request.path}"
        raise UnknownNeeds(f"{request.service}:{operation}") from error
