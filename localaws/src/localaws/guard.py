"""The guard of a port: it refuses the requests of foreign web pages.

A browser sends requests of any page to any port of its machine. It says truly which page they come
from (``Origin``, https://fetch.spec.whatwg.org/#origin-header, and ``Sec-Fetch-Site``,
https://www.w3.org/TR/fetch-metadata/) and which name was looked up to find the port (``Host``). A
page that has its own name resolved to this machine (DNS rebinding) is known by that name. Programs
such as boto3 and curl send no such header, except ``Host``.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Port forwarding, as of a development container, may change the port but not the name.
_LOOPBACK: Final = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


class Guard:
    """WSGI application that passes on the requests of programs and of known pages.

    Args:
        app: answers these requests.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._origins: set[str] = set()
        self._open = False
        self._has_pages = False

    def admit(self, *origins: str) -> None:
        """Pass on the requests of pages of these origins too, such as ``http://localhost:3000``."""
        self._origins.update(origins)

    def admit_links(self) -> None:
        """Pass on requests of people who follow a link from any site to a page on this port."""
        self._has_pages = True

    def open(self) -> None:
        """Pass on every request."""
        self._open = True

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Refuse a request of a foreign page before its body is read; pass on any other."""
        reason = None if self._open else self._reason_to_refuse(environ)
        if reason is None:
            return self._app(environ, start_response)
        headers = {"Connection": "close"}  # its body is still to come
        return Response(f"Forbidden: {reason}\n", 403, headers)(environ, start_response)

    def _reason_to_refuse(self, environ: "WSGIEnvironment") -> str | None:
        host = environ.get("HTTP_HOST", "")
        if not _LOOPBACK.fullmatch(host) or not environ["REQUEST_URI"].startswith("/"):
            return "this port has the name 127.0.0.1 or localhost, and the request another."
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None:
            is_known = origin == f"http://{host.lower()}" or origin in self._origins
        else:
            site = environ.get("HTTP_SEC_FETCH_SITE", "none")
            is_link = self._has_pages and _is_link(environ)
            is_known = site in ("none", "same-origin") or is_link
        return None if is_known else "pages of another site may not use this port."


def _is_link(environ: "WSGIEnvironment") -> bool:
    """Return whether a person follows a link: the page with the link cannot read the answer."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )
