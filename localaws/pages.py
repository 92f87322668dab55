"""The pages of ``web/`` on a port of this machine, as the distribution serves them in the cloud."""

import threading
from collections.abc import Iterable
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from infra.pages import SECURITY_HEADERS, PagesConfig, content_security_policy, files
from localaws.ports import HOST, QuietRequestHandler, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class LocalPages:
    """A server of the pages. What is changed in ``web/`` shows at the next request."""

    def __init__(self, config: PagesConfig, aws_url: str, port: int = 0) -> None:
        """Listen on a port of 127.0.0.1; 0 takes a free one.

        Args:
            config: what the pages have to know of the service.
            aws_url: where S3 is, to which large photographs are uploaded.
            port: the port.

        Raises:
            localaws.ports.PortInUse: another program listens there.
        """
        self._config = config
        policy = content_security_policy(config.api_origin, aws_url)
        self._headers = {
            **SECURITY_HEADERS,
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
        }
        listening = listen(port)
        self._port = listening.getsockname()[1]
        self._server = make_server(
            HOST,
            self._port,
            self._serve,
            threaded=True,
            request_handler=QuietRequestHandler,
            fd=listening.fileno(),
        )
        listening.close()  # the server has taken a duplicate
        self._thread = threading.Thread(target=self._server.serve_forever, name="pages")

    @property
    def url(self) -> str:
        """The pages' address."""
        return f"http://{HOST}:{self._port}"

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

    def __enter__(self) -> "LocalPages":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
