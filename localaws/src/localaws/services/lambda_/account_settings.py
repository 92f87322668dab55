"""Lambda's GetAccountSettings, which moto lacks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import moto.backends
import msgspec
from werkzeug.wrappers import Response

from localaws.request import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH: Final = "/2016-08-19/account-settings"


class AccountSettings:
    """Layer that tells how many functions the account may run at once."""

    def __init__(self) -> None:
        self.concurrent_executions = 1000
        """The account's limit; a new account often has 10."""

    def __call__(
        self,
        environ: "WSGIEnvironment",
        start_response: "StartResponse",
        inner: "WSGIApplication",
    ) -> Iterable[bytes]:
        """Answer GetAccountSettings; pass on all other requests."""
        request = request_of(environ)
        if request.service != "lambda" or request.path.rstrip("/") != _PATH:
            return inner(environ, start_response)
        functions = moto.backends.get_backend("lambda")[request.account][request.region]
        reserved = sum(int(f.reserved_concurrency or 0) for f in functions.list_functions())
        limits = {
            "ConcurrentExecutions": self.concurrent_executions,
            "UnreservedConcurrentExecutions": self.concurrent_executions - reserved,
        }
        answer = Response(
            msgspec.json.encode({"AccountLimit": limits}), content_type="application/json"
        )
        return answer(environ, start_response)
