"""The gate before all services: requests of restricted callers are answered only if allowed."""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import escape

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Response

from localaws.account import ACCOUNT_ID
from localaws.middleware.permissions.actions import (
    Need,
    UnknownOperation,
    list_bucket,
    needs_of,
    post_object,
)
from localaws.operations import caller_of, is_s3, s3_location, s3_operation
from localaws.services.iam.identities import Principal, principal_of
from localaws.services.iam.policies import PolicyNotUnderstood
from localaws.services.s3.post_policy import form_of
from localaws.signatures import credential_of, service_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger(__name__)

MOST_KEPT = 100_000


class Asked(NamedTuple):
    """Something that a restricted caller needed, and whether it was allowed."""

    principal: str
    action: str
    resource: str
    allowed: bool


class Denied(Exception):
    """A caller may not do what was asked for."""


class Permissions:
    """WSGI middleware that evaluates policies before requests are answered.

    Restricted are the sessions of roles, and callers that were named to :meth:`restrict`. All
    others may do everything.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        """Take what answers the requests."""
        self._app = app
        self._roles: dict[str, Principal] = {}
        self._role_of: Callable[[str], str | None] = lambda caller: caller
        self.asked: deque[Asked] = deque(maxlen=MOST_KEPT)
        """What restricted callers have needed last."""

    def restrict(
        self,
        policies: Mapping[str, Any],
        role_of: Callable[[str], str | None] = lambda caller: caller,
    ) -> None:
        """Evaluate policies for callers that have no session of a role.

        Args:
            policies: documents by the names of roles.
            role_of: gives the role of a caller, by the application id that its SDK was given.
        """
        self._role_of = role_of
        self._roles = {
            name: Principal(f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{name}/{name}", (document,))
            for name, document in policies.items()
        }

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer a request that is allowed, and refuse one that is not."""
        form = form_of(environ)
        principal = self._principal(environ, form)
        if principal is None or principal.documents is None:
            return self._app(environ, start_response)
        try:
            if form is None:
                needs = needs_of(environ, service_of(environ))
            else:
                needs = [post_object(s3_location(environ)[0], form.get("key", ""))]
            for need in needs:
                self._demand(principal, need)
            if is_s3(environ) and s3_operation(environ) in ("GetObject", "HeadObject"):
                return self._hide_what_is_missing(principal, environ, start_response)
        except UnknownOperation as error:
            logger.error("it is not known what %s needs: denied", error)
            return _refusal(environ, f"{error} is not evaluated here")(environ, start_response)
        except Denied as denied:
            return _refusal(environ, str(denied))(environ, start_response)
        return self._app(environ, start_response)

    def _principal(
        self, environ: "WSGIEnvironment", form: Mapping[str, str] | None
    ) -> Principal | None:
        if self._roles:
            restricted = self._roles.get(self._role_of(caller_of(environ)) or "")
            if restricted is not None:
                return restricted
        if form is not None:
            access_key_id: str | None = form.get("x-amz-credential", "").split("/")[0]
        else:
            access_key_id = credential_of(environ)
        return principal_of(access_key_id) if access_key_id else None

    def _demand(self, principal: Principal, need: Need) -> None:
        """Evaluate and record one need.

        Raises:
            Denied: the principal may not.
        """
        try:
            allowed = principal.may(*need)
        except PolicyNotUnderstood as error:
            logger.error("the policies of %s are not understood: %s", principal.arn, error)
            raise Denied(f"the policies of {principal.arn} are not understood: {error}") from None
        self.asked.append(Asked(principal.arn, *need, allowed))
        if not allowed:
            raise Denied(
                f"User: {principal.arn} is not authorized to perform: {need.action}"
                f" on resource: {need.resource} because no identity-based policy allows the"
                f" {need.action} action"
            )

    def _hide_what_is_missing(
        self, principal: Principal, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer, but say that a key is missing only to who may list the bucket."""
        body, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        if status.startswith("404"):
            self._demand(principal, list_bucket(s3_location(environ)[0]))
        start_response(status, list(headers))
        return body


def _refusal(environ: "WSGIEnvironment", message: str) -> Response:
    """Refuse in the protocol in which was asked."""
    code, text = "AccessDenied", escape(message)
    if is_s3(environ):
        body = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        return Response(body, 403, content_type="application/xml")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
            f"<Message>{text}</Message></Error></ErrorResponse>"
        )
        return Response(body, 403, content_type="text/xml")
    code = "AccessDeniedException"
    status = 400 if "HTTP_X_AMZ_TARGET" in environ else 403
    answer = json.dumps({"__type": code, "message": message})
    headers = {"x-amzn-ErrorType": code}
    return Response(answer, status, headers, content_type="application/x-amz-json-1.1")
