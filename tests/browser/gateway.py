"""A gateway in front of the local API that checks API keys as API Gateway does.

On AWS, API Gateway checks the key, not the application. So ``chalice local`` accepts every request.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from werkzeug.wrappers import Request, Response

from localaws.ports import Server, listen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_FORWARDED_HEADERS = ("content-type", "retry-after")


class Gateway:
    """Forwards requests that have the key. CORS preflights need no key, as on API Gateway.

    Args:
        api_url: the URL of the API.
        key: the API key.
        cors: whether rejections have CORS headers.
    """

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
            response = self._forward(request)
        return response(environ, start_response)

    def _forward(self, request: Request) -> Response:
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
            if name.lower() in _FORWARDED_HEADERS or name.lower().startswith("access-control-")
        ]
        return Response(answer.content, answer.status_code, headers)


@contextmanager
def running(api_url: str, key: str, *, cors: bool = True) -> Iterator[str]:
    """Run a gateway in front of an API, and yield its URL.

    On API Gateway, rejections have CORS headers only if the API has ``GatewayResponses`` with them.
    """
    gateway = Gateway(api_url, key, cors=cors)
    with Server(listen(0), gateway, "gateway") as server:
        server.guard.open()
        yield server.url
