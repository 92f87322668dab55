"""EventBridge's rules with a rate, which moto keeps but does not run."""

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import moto.backends

from localaws.account import ACCOUNT_ID, REGION
from localaws.errors import DataNotStored
from localaws.services.lambda_.event_queue import Event

if TYPE_CHECKING:
    from moto.events.models import Rule

logger = logging.getLogger(__name__)

_RATE = re.compile(r"rate\((?P<value>\d+) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_INTERVAL = 1.0
"""Seconds between two looks at the rules, whose rates are a minute or more."""


class Schedules:
    """Sends events to the functions of rules: at once when a rule is put, then at its rate.

    Args:
        notify: sends an event, given the function's name, the rule's ARN and the event.
    """

    def __init__(self, notify: Callable[[str, str, Event], None]) -> None:
        self._notify = notify
        self._due: dict[str, tuple[Rule, float]] = {}
        """The rules and when they are due, by ARN. A rule that is put again is a new object."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="schedules", daemon=True)

    def start(self) -> None:
        """Start to watch the rules."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching the rules."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_INTERVAL):
            self.run_due()

    def run_due(self) -> None:
        """Send the events of all rules that are due."""
        buses = moto.backends.get_backend("events")[ACCOUNT_ID][REGION].event_buses
        rules = {rule.arn: rule for rule in [*buses["default"].rules.values()]}
        self._due = {a: (r, due) for a, (r, due) in self._due.items() if rules.get(a) is r}
        for arn, rule in rules.items():
            if rule.state == "ENABLED" and rule.scheduled_expression and rule.targets:
                self._run(arn, rule)

    def _run(self, arn: str, rule: "Rule") -> None:
        now = time.monotonic()
        if arn in self._due and now < self._due[arn][1]:
            return
        rate = _RATE.fullmatch(rule.scheduled_expression or "")
        if rate is None:
            logger.warning("%s: only rates are supported, so the rule does not run", arn)
            self._due[arn] = rule, float("inf")
            return
        try:
            for target in rule.targets:
                self._notify(target["Arn"].rpartition(":")[2], arn, _event(arn))
        except DataNotStored:  # the rule is still due, and the next look tries it again
            return
        self._due[arn] = rule, now + int(rate["value"]) * _SECONDS[rate["unit"]]


def _event(rule: str) -> Event:
    """Return the event that a rule sends.

    Source: "Tutorial: Create an EventBridge scheduled rule for Lambda functions" in the Amazon
    EventBridge User Guide.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [rule],
        "detail": {},
    }
