"""The project's API on a port of this machine: what ``chalice local`` starts."""

import threading
from types import TracebackType

from chalice.deploy.validate import validate_routes
from chalice.local import ChaliceRequestHandler, LocalDevServer, create_local_server

from localaws.ports import HOST, listen
from localaws.project import Project


class LocalApi:
    """``chalice local`` for a project that is loaded already."""

    def __init__(self, project: Project, port: int = 0) -> None:
        """Listen on a port of 127.0.0.1; 0 takes a free one.

        Raises:
            localaws.ports.PortInUse: another program listens there.
        """
        validate_routes(project.app.routes)
        listen(port).close()
        ChaliceRequestHandler.log_request = _keep_quiet
        self._server: LocalDevServer = create_local_server(project.app, project.config, HOST, port)
        self._thread = threading.Thread(
            target=self._server.server.serve_forever, name="chalice-local"
        )

    @property
    def url(self) -> str:
        """The API's address."""
        return f"http://{HOST}:{self._server.server.server_port}"

    def __enter__(self) -> "LocalApi":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.server.shutdown()
        self._thread.join()
        self._server.server.server_close()


def _keep_quiet(self: ChaliceRequestHandler, code: int | str = "-", size: int | str = "-") -> None:
    """Leave the log of a request to the application, which writes its own."""
