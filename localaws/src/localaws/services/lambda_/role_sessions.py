"""Sessions of roles, which Lambda opens for functions and for its own calls on their behalf."""

import threading
from typing import Any, Final

import boto3
import moto.backends
from botocore.config import Config
from moto.sts.models import AssumedRole

from localaws.account import ACCOUNT_ID, REGION

_SECONDS: Final = 10 * 365 * 24 * 3600
"""AWS renews the sessions of functions; these last as long as the server."""


class RoleSessions:
    """Opens sessions of roles, and keeps boto3 clients that use them.

    Args:
        url: the address of the embedded AWS.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._boto3: Any = boto3.Session()  # one session reads each service's model once
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def assume(self, role_arn: str, name: str) -> AssumedRole:
        """Open a session of a role, and return its credentials.

        Args:
            role_arn: the role.
            name: of the session.
        """
        sts = moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"]
        return sts.assume_role(
            region_name=REGION,
            role_session_name=name,
            role_arn=role_arn,
            policy="",
            duration=_SECONDS,
            external_id="",
        )

    def client(self, service: str, role_arn: str, name: str) -> Any:
        """Return a boto3 client of a service that calls the embedded AWS as a role.

        Args:
            service: AWS's name.
            role_arn: the role.
            name: of the session.
        """
        with self._lock:
            client = self._clients.get((service, role_arn, name))
            if client is None:
                session = self.assume(role_arn, name)
                client = self._clients[service, role_arn, name] = self._boto3.client(
                    service,
                    endpoint_url=self._url,
                    region_name=REGION,
                    aws_access_key_id=session.access_key_id,
                    aws_secret_access_key=session.secret_access_key,
                    aws_session_token=session.session_token,
                    config=Config(retries={"total_max_attempts": 1}),
                )
            return client

    def forget(self) -> None:
        """Drop all clients, after a reset has ended their sessions."""
        with self._lock:
            self._clients.clear()
