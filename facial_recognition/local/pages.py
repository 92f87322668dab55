"""The web pages on a port of this machine, served as CloudFront serves them."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from facial_recognition.infra.pages import (
    SECURITY_HEADERS,
    PagesConfig,
    content_security_policy,
    files,
)
from localaws.guard import Guard
from localaws.ports import HOST, Server, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class LocalPages(Server):
    """A server of the pages in ``web/``. Changes of the files show at the next request.

    Args:
        config: the facts about the service that the pages need.
        aws_url: the address of S3, where browsers upload large photographs.
        port: of 127.0.0.1; 0 picks a free one.
        guards: of the ports that the pages use, which admit the pages.

    Raises:
        localaws.ports.PortUnusable: the server cannot listen on the port.
    """

    def __init__(
        self, config: PagesConfig, aws_url: str, port: int = 0, guards: Iterable[Guard] = ()
    ) -> None:
        self._config = config
        policy = content_security_policy(config.api_origin, aws_url)
        self._headers = {
            **SECURITY_HEADERS,
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
        }
        super().__init__(listen(port), self._serve, "pages")
        self.guard.admit_links()
        for guard in guards:
            guard.admit(self.url, self.url.replace(HOST, "localhost"))

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        if request.method not in ("GET", "HEAD"):
            response = Response(
                status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"}
            )
        else:
            # Only published files are served: no path leads out of the folder or lists it.
            published = {file.name: file for file in files(self._config)}
            found = published.get(request.path.removeprefix("/") or "index.html")
            file = found or published["404.html"]
            status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            response = Response(file.content, status, content_type=file.content_type)
        response.headers.extend(self._headers)
        return response(environ, start_response)
