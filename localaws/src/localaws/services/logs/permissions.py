"""The permissions that requests to CloudWatch Logs need."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localaws.account import arn
from localaws.request import AWSRequest
from localaws.services.iam.permissions import Need, UnknownNeeds, json_parameters

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def needs(request: AWSRequest, environ: "WSGIEnvironment") -> Iterator[Need]:
    """Yield the needs of a request.

    Raises:
        UnknownNeeds: the operation is not known here.
    """
    operation, parameters = request.operation, json_parameters(environ)
    if operation not in ("CreateLogGroup", "CreateLogStream", "PutLogEvents"):
        raise UnknownNeeds(f"logs:{operation}")
    # The streams follow the group's name even in CreateLogGroup, which has no stream: AWS's own
    # documents grant it on a resource that ends with ":*".
    stream = parameters.get("logStreamName", "")
    group = f"log-group:{parameters['logGroupName']}:log-stream:{stream}"
    yield Need(f"logs:{operation}", arn("logs", group))
