"""EventBridge's rules with a rate: moto keeps them, and nothing but this obeys them."""

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
from localaws.services.lambda_.asynchronous import Event

if TYPE_CHECKING:
    from moto.events.models import Rule

logger = logging.getLogger(__name__)

_RATE = re.compile(r"rate\((?P<value>\d+) (?P<unit>minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
_LOOK_EVERY = 1.0
"""Seconds; a rule's rate is a minute or more."""


class Schedules:
    """Brings events to the functions of rules: at once when a rule is put, then at its rate."""

    def __init__(self, bring: Callable[[str, str, Event], None]) -> None:
        """Take what brings an event, given the function's name, the rule's ARN and the event."""
        self._bring = bring
        self._due: dict[str, tuple[Rule, float]] = {}
        """By the rules' ARNs; a rule that is put again is another one to moto."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="schedules", daemon=True)

    def start(self) -> None:
        """Begin to watch the rules."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_EVERY):
            self.look()

    def look(self) -> None:
        """Bring what is due now."""
        buses = moto.backends.get_backend("events")[ACCOUNT_ID][REGION].event_buses
        rules = {rule.arn: rule for rule in [*buses["default"].rules.values()]}
        self._due = {a: (r, due) for a, (r, due) in self._due.items() if rules.get(a) is r}
        for arn, rule in rules.items():
            if rule.state == "ENABLED" and rule.scheduled_expression and rule.targets:
                self._obey(arn, rule)

    def _obey(self, arn: str, rule: "Rule") -> None:
        now = time.monotonic()
        if arn in self._due and now < self._due[arn][1]:
            return
        rate = _RATE.fullmatch(rule.scheduled_expression or "")
        if rate is None:
            logger.warning("%s: only rates are known here: it is left alone", arn)
            self._due[arn] = rule, float("inf")
            return
        self._due[arn] = rule, now + int(rate["value"]) * _SECONDS[rate["unit"]]
        for target in rule.targets:
            self._bring(target["Arn"].rpartition(":")[2], arn, _event(arn))


def _event(rule: str) -> Event:
    """Return the event of a rule.

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
