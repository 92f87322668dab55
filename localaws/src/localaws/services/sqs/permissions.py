"""The permissions that requests to SQS need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from localaws.account import arn
from localaws.request import AWSRequest
from localaws.services.iam.permissions import Need, UnknownNeeds, json_parameters

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ON_QUEUE: Final = {
    "SendMessage": "SendMessage",
    "SendMessageBatch": "SendMessage",
    "ReceiveMessage": "ReceiveMessage",
    "DeleteMessage": "DeleteMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibility": "ChangeMessageVisibility",
    "GetQueueAttributes": "GetQueueAttributes",
}


def needs(request: AWSRequest, environ: "WSGIEnvironment") -> Iterator[Need]:
    """Yield the needs of a request.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    if request.operation not in _ON_QUEUE:
        raise UnknownNeeds(f"sqs:{request.operation}")
    queue = json_parameters(environ)["QueueUrl"].rpartition("/")[2]
    yield Need(f"sqs:{_ON_QUEUE[request.operation]}", arn("sqs", queue))
