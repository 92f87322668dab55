"""What Lambda asks of a queue and a role before it maps the queue to a function.

Source: "Using Lambda with Amazon SQS" and "Creating and configuring an Amazon SQS event source
mapping" in the AWS Lambda Developer Guide: the execution role needs the permissions to receive and
delete messages and to get the queue's attributes, and the visibility timeout of the queue may not
be less than the timeout of the function.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import moto.backends
import msgspec

from localaws.account import ACCOUNT_ID, REGION
from localaws.refusals import RequestRefused, error_response
from localaws.request import request_of
from localaws.services.iam.identities import principal_of_role
from localaws.services.sqs.polling import queue_named
from localaws.wsgi import read_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH: Final = re.compile(r"/2015-03-31/event-source-mappings/?")
_NEEDED: Final = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
_LARGEST_BATCH_AT_ONCE: Final = 10


def check_event_source(
    environ: "WSGIEnvironment", start_response: "StartResponse", inner: "WSGIApplication"
) -> Iterable[bytes]:
    """Layer that refuses event source mappings which Lambda would refuse."""
    request = request_of(environ)
    is_creation = request.method == "POST" and _PATH.fullmatch(request.path)
    if request.service != "lambda" or not is_creation:
        return inner(environ, start_response)
    try:
        _check(msgspec.json.decode(read_body(environ)))
    except RequestRefused as refused:
        return error_response(request, refused)(environ, start_response)
    return inner(environ, start_response)


def _check(given: Any) -> None:
    source = str(given.get("EventSourceArn", ""))
    if ":sqs:" not in source:
        return
    queue = queue_named(source.rpartition(":")[2])
    backend = moto.backends.get_backend("lambda")[ACCOUNT_ID][REGION]
    function = backend.get_function(str(given.get("FunctionName", "")))
    if queue is None:
        raise _invalid(
            "Error occurred while ReceiveMessage. SQS Error Code:"
            " AWS.SimpleQueueService.NonExistentQueue."
        )
    role = principal_of_role(function.role)
    for action in _NEEDED:
        if not role.may(f"sqs:{action}", source):
            raise _invalid(
                f"The provided execution role does not have permissions to call {action} on SQS"
            )
    visibility, timeout = int(queue.visibility_timeout), int(function.timeout)
    if visibility < timeout:
        raise _invalid(
            f"Queue visibility timeout: {visibility} seconds is less than Function timeout:"
            f" {timeout} seconds"
        )
    window = given.get("MaximumBatchingWindowInSeconds") or 0
    if given.get("BatchSize", 10) > _LARGEST_BATCH_AT_ONCE and not window:
        raise _invalid("Maximum batch window in seconds must be greater than 0 for this batch size")


def _invalid(message: str) -> RequestRefused:
    return RequestRefused("InvalidParameterValueException", message)
