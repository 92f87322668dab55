"""API keys and usage plans: what moto does otherwise than API Gateway.

Source: "GetUsagePlanKeys", "GetUsagePlans", "GetApiKeys" and "CreateUsagePlanKey" in the API
Gateway API Reference. A listing has 25 items if the request names no limit, and at most 500.
"""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from moto.apigateway.exceptions import ConflictException
from moto.apigateway.models import APIGatewayBackend, UsagePlanKey
from werkzeug.wrappers import Response

from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_USUAL_ITEMS: Final = 25
_MOST_ITEMS: Final = 500
_LISTING: Final = re.compile(r"/(apikeys|usageplans|usageplans/[^/]+/keys)/?")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")

_create_usage_plan_key = APIGatewayBackend.create_usage_plan_key


def create_usage_plan_key(
    self: APIGatewayBackend, usage_plan_id: str, payload: dict[str, Any]
) -> UsagePlanKey:
    """Stand in for ``APIGatewayBackend.create_usage_plan_key``, which adds a key repeatedly."""
    if payload["keyId"] in self.usage_plan_keys.get(usage_plan_id, {}):
        raise ConflictException(f"Usage plan {usage_plan_id} already has the key")
    return _create_usage_plan_key(self, usage_plan_id, payload)


def answer_in_pages(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that cuts listings of API keys and usage plans into pages; the position is a number."""
    request = request_of(environ)
    is_listing = request.method == "GET" and _LISTING.fullmatch(request.path)
    if request.service != "apigateway" or not is_listing:
        return inner(environ, start_response)
    position = request.query.get("position", "0")
    limit = request.query.get("limit", str(_USUAL_ITEMS))
    if not (_NUMBER.fullmatch(position) and _NUMBER.fullmatch(limit)):
        refused = RequestRefused("BadRequestException", "Invalid position or limit.")
        return error_response(request, refused)(environ, start_response)
    response = Response.from_app(inner, environ)
    if response.status_code == 200:
        begin, end = int(position), int(position) + min(int(limit), _MOST_ITEMS)
        found = json.loads(response.get_data())
        items = found["item"]
        found["item"] = items[begin:end]
        if end < len(items):
            found["position"] = str(end)
        response.set_data(json.dumps(found))
    return response(environ, start_response)
