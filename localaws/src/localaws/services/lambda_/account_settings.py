"""Lambda's GetAccountSettings, which moto does not have."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import moto.backends
import msgspec
from werkzeug.wrappers import Response

from localaws.signatures import service_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH = "/2016-08-19/account-settings"


class AccountSettings:
    """WSGI middleware that tells how many functions an account may run at once."""

    def __init__(self, app: "WSGIApplication", account_id: str) -> None:
        """Take moto's application, and the account."""
        self._app = app
        self._account_id = account_id
        self.concurrent_executions = 1000
        """The account's limit; a new one often has 10."""

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer the one request; pass on all others."""
        path = environ.get("PATH_INFO", "").rstrip("/")
        if path != _PATH or service_of(environ) != "lambda":
            return self._app(environ, start_response)
        region = environ.get("HTTP_AUTHORIZATION", "").split("/")[2]
        functions = moto.backends.get_backend("lambda")[self._account_id][region]
        reserved = sum(int(f.reserved_concurrency or 0) for f in functions.list_functions())
        limits = {
            "ConcurrentExecutions": self.concurrent_executions,
            "UnreservedConcurrentExecutions": self.concurrent_executions - reserved,
        }
        answer = Response(
            msgspec.json.encode({"AccountLimit": limits}), content_type="application/json"
        )
        return answer(environ, start_response)
