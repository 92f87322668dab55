"""API Gateway before the local API, as far as it asks for a key.

``chalice local`` lets everybody in, since the key is checked by API Gateway and not by the
application. So here is a gateway that checks it for real, and refuses as API Gateway does.
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from localaws.ports import HOST, QuietRequestHandler

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_PASSED_BACK = ("content-type", "retry-after")


class Gateway:
    """Passes on what comes with the key; preflights need none, as in API Gateway."""

    def __init__(self, api_url: str, key: str, *, cors: bool) -> None:
        self._api_url = api_url
        self._key = key
        self._cors = cors

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        if request.method != "OPTIONS" and request.headers.get("x-api-key") != self._key:
            response = Response(json.dumps({"message": "Forbidden"}), 403)
            if self._cors:
                response.headers["Access-Control-Allow-Origin"] = "*"
        else:
            response = self._passed_on(request)
        return response(environ, start_response)

    def _passed_on(self, request: Request) -> Response:
        answer = requests.request(
            request.method,
            f"{self._api_url}{request.full_path}",
            data=request.get_data(),
            headers={"Content-Type": request.content_type or ""},
            timeout=60,
        )
        headers = [
            (name, value)
            for name, value in answer.headers.items()
            if name.lower() in _PASSED_BACK or name.lower().startswith("access-control-")
        ]
        return Response(answer.content, answer.status_code, headers)


@contextmanager
def running(api_url: str, key: str, *, cors: bool = True) -> Iterator[str]:
    """Run a gateway before an API; the address is yielded.

    Its own refusals have the headers of CORS only if ``GatewayResponses`` were made for that.
    """
    gateway = Gateway(api_url, key, cors=cors)
    server = make_server(HOST, 0, gateway, threaded=True, request_handler=QuietRequestHandler)
    thread = threading.Thread(target=server.serve_forever, name="gateway")
    thread.start()
    try:
        yield f"http://{HOST}:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
