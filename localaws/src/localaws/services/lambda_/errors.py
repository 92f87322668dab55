"""Errors of invocations."""

from typing import Any


class FunctionError(Exception):
    """A function returned no result: it raised, ran out of time or memory, or its process ended.

    Args:
        payload: the error as Lambda answers it, usually with ``errorType`` and ``errorMessage``.
    """

    def __init__(self, payload: Any) -> None:
        super().__init__(str(payload.get("errorMessage", "")))
        self.payload = payload


class TooManyRequests(Exception):
    """All of a function's reserved concurrency is in use."""


class ServerStopping(Exception):
    """The embedded AWS is stopping and starts no more processes."""
