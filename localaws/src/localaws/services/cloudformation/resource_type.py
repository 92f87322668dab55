"""The base of all types of resources."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from localaws.services.cloudformation.template import PhysicalResource

Properties = Mapping[str, Any]

_MISSING = frozenset(
    {
        "404",
        "NoSuchBucket",
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NotFound",
        "NotFoundException",
    }
)


class ResourceType(ABC):
    """A type of resource. Its methods raise the errors of its service.

    Args:
        session: calls the service.
    """

    identifier: str | None = None
    """The property that names a resource; None if AWS makes the identifier up.

    CloudFormation names a resource whose template gives no name, and adopts resources by name only.
    """

    def __init__(self, session: boto3.Session) -> None:
        self.session = session

    def client(self, service: str) -> Any:
        """Return the client of a service."""
        return _client(self.session, service)

    @abstractmethod
    def exists(self, properties: Properties) -> bool:
        """Return whether a resource of this name exists."""

    @abstractmethod
    def create(self, properties: Properties) -> None:
        """Create the resource, with the properties that creation needs."""

    def update(self, properties: Properties) -> None:  # noqa: B027 - some types have no others
        """Set all other properties of an existing resource."""

    @abstractmethod
    def describe(self, properties: Properties) -> PhysicalResource:
        """Return an existing resource as other resources can refer to it."""

    @abstractmethod
    def delete(self, properties: Properties) -> None:
        """Delete the resource."""


def _client(session: Any, service: str) -> Any:
    """Return a session's client of a service. Each client is made once."""
    clients = session.__dict__.setdefault("_localaws_clients", {})
    if service not in clients:
        clients[service] = session.client(service)
    return clients[service]


def finds(call: Callable[..., Any], **arguments: Any) -> bool:
    """Return whether a call to a service finds the resource."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return False
        raise
    return True
