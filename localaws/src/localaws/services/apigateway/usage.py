"""API keys and usage plans: which keys open a stage, and how often."""

import threading
import time
from dataclasses import dataclass, field

import moto.backends
from moto.apigateway.models import ApiKey, UsagePlan

from localaws.account import ACCOUNT_ID, REGION
from localaws.services.apigateway.responses import ApiCall, GatewayRefusal


@dataclass
class _Bucket:
    """A token bucket: it holds a burst of requests, and refills at a rate."""

    tokens: float
    filled: float = field(default_factory=time.monotonic)

    def admits(self, rate: float, burst: float) -> bool:
        now = time.monotonic()
        self.tokens = min(burst, self.tokens + (now - self.filled) * rate)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Usage:
    """Checks the API keys of requests against usage plans, and counts the requests."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self._lock = threading.Lock()

    def check(self, call: ApiCall) -> dict[str, object]:
        """Check and count a request.

        Returns:
            The facts about the key for the event's ``identity``.

        Raises:
            GatewayRefusal: the request has no key for this stage, or the key is used too often.
        """
        value = call.request.headers.get("x-api-key")
        backend = moto.backends.get_backend("apigateway")[ACCOUNT_ID][REGION]
        for key in backend.get_api_keys():
            if value is not None and key.value == value and _is_enabled(key):
                for plan in backend.get_usage_plans(key.id):
                    if _covers(plan, call):
                        self._count(plan, key)
                        return {"apiKey": key.value, "apiKeyId": key.id}
        raise GatewayRefusal("INVALID_API_KEY")

    def _count(self, plan: UsagePlan, key: ApiKey) -> None:
        rate, burst = plan.throttle.get("rateLimit"), plan.throttle.get("burstLimit")
        if rate is None or burst is None:
            return
        with self._lock:
            bucket = self._buckets.setdefault((plan.id, key.id), _Bucket(float(burst)))
            if not bucket.admits(float(rate), float(burst)):
                raise GatewayRefusal("THROTTLED")


def _is_enabled(key: ApiKey) -> bool:
    return str(key.enabled).lower() == "true"


def _covers(plan: UsagePlan, call: ApiCall) -> bool:
    return any(
        stage["apiId"] == call.api.id and stage["stage"] == call.stage for stage in plan.api_stages
    )
