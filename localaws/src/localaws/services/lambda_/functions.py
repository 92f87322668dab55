"""All functions by name, deployed or not: to be invoked directly or through the event queue."""

import json
import logging
import uuid
from collections.abc import Callable, Mapping

from localaws.services.lambda_.deployed import DeployedFunctions
from localaws.services.lambda_.event_queue import (
    CONCURRENCY,
    RETRY_DELAYS,
    Destination,
    Disorder,
    Event,
    EventInvokeConfig,
    EventQueue,
    KeptEvents,
)

logger = logging.getLogger(__name__)

Handler = Callable[[Event, str], object]
"""Handles an event, given the event and the request id of the invocation."""


class Functions:
    """Invokes handlers that were added, and deployed functions.

    Args:
        deployed: the deployed functions; None if there are none.
        workers: the number of events that are handled at once.
        retry_delays: seconds before the second and the third attempt to handle an event.
        kept_events: stores the events of handlers until they are handled; None stores nothing.
    """

    def __init__(
        self,
        deployed: DeployedFunctions | None = None,
        *,
        workers: int = CONCURRENCY,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
        kept_events: KeptEvents | None = None,
    ) -> None:
        self.deployed = deployed
        self.disorder = Disorder()
        """How events of other services are delivered."""
        self._handlers: dict[str, Handler] = {}
        self._configs: dict[str, EventInvokeConfig] = {}
        self._retries = len(retry_delays)
        self._queue = EventQueue(
            self._run,
            self._config_of,
            workers=workers,
            retry_delays=retry_delays,
            kept_events=kept_events,
        )

    def add(self, handlers: Mapping[str, Handler], on_failure: Destination | None = None) -> None:
        """Add functions that are not deployed.

        Args:
            handlers: by the names of the functions.
            on_failure: receives the records of events that the functions failed to handle.
        """
        self._handlers.update(handlers)
        config = EventInvokeConfig(maximum_retry_attempts=self._retries, on_failure=on_failure)
        self._configs.update(dict.fromkeys(handlers, config))

    def __contains__(self, function: str) -> bool:
        """Return whether a function is known."""
        return function in self._handlers or (
            self.deployed is not None and function in self.deployed
        )

    def call(self, function: str, event: Event) -> object:
        """Invoke a function and return its result.

        Raises:
            FunctionError: a deployed function returned no result.
            Exception: the handler raised it.
        """
        return self._run(function, event, str(uuid.uuid4()))

    def invoke(self, function: str, event: Event) -> None:
        """Queue an event for a function."""
        self._queue.put(function, event, keep=function in self._handlers)

    def notify(self, function: str, event: Event) -> None:
        """Deliver an event of another service: at least once, in no certain order.

        An event for an unknown function is dropped, as S3 does.
        """
        if function not in self:
            logger.warning("there is no function %s: its event is dropped", function)
            return
        for delay in self.disorder.delays():
            self._queue.put(function, event, delay=delay, keep=function in self._handlers)

    def redeliver(self) -> None:
        """Queue the events that an earlier process has not handled."""
        self._queue.put_kept(self.__contains__)

    def drain(self, timeout: float = 60.0) -> None:
        """Wait until no event is waiting and no event is being handled.

        Raises:
            TimeoutError: that took longer than ``timeout`` seconds.
        """
        self._queue.drain(timeout)

    def stop(self) -> None:
        """Finish the running functions, and drop the waiting events."""
        self._queue.stop()

    def _run(self, function: str, event: Event, request_id: str) -> object:
        if function in self._handlers:
            return self._handlers[function](event, request_id)
        if self.deployed is None:
            raise LookupError(function)
        return json.loads(self.deployed.run(function, json.dumps(event).encode(), request_id))

    def _config_of(self, function: str) -> EventInvokeConfig:
        if function in self._configs:
            return self._configs[function]
        if self.deployed is None:
            return EventInvokeConfig(maximum_retry_attempts=self._retries)
        return self.deployed.event_invoke_config(function)
