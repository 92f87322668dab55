"""The pages of ``web/`` on a port of this machine, as the distribution serves them in the cloud."""

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
from localaws.ports import Server, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class LocalPages(Server):
    """A server of the pages. What is changed in ``web/`` shows at the next request."""

    def __init__(self, config: PagesConfig, aws_url: str, port: int = 0) -> None:
        """Listen on a port of 127.0.0.1; 0 takes a free one.

        Args:
            config: what the pages have to know of the service.
            aws_url: where S3 is, to which large photographs are uploaded.
            port: the port.

        Raises:
            localaws.ports.PortUnusable: another program listens there, say.
        """
        self._config = config
        policy = content_security_policy(config.api_origin, aws_url)
        self._headers = {
            **SECURITY_HEADERS,
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
        }
        super().__init__(listen(port), self._serve, "pages")

    def _serve(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        if request.method not in ("GET", "HEAD"):
            response = Response(
                status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"}
            )
        else:
            # Only what would be published is served: no path leads out of it, or lists it.
            published = {file.name: file for file in files(self._config)}
            found = published.get(request.path.removeprefix("/") or "index.html")
            file = found or published["404.html"]
            status = HTTPStatus.OK if found else HTTPStatus.NOT_FOUND
            response = Response(file.content, status, content_type=file.content_type)
        response.headers.extend(self._headers)
        return response(environ, start_response)
