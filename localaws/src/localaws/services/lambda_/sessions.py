"""Sessions of roles, as Lambda takes them for the functions and for what it does for them."""

import threading
from typing import Any

import boto3
import moto.backends
from botocore.config import Config
from moto.sts.models import AssumedRole

from localaws.account import ACCOUNT_ID, REGION

_SECONDS = 12 * 3600


class Sessions:
    """Credentials of roles, and boto3's clients with them."""

    def __init__(self, url: str) -> None:
        """Take the address of the embedded AWS."""
        self._url = url
        self._boto3: Any = boto3.Session()  # one, which reads each service's model once
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def assume(self, role_arn: str, name: str) -> AssumedRole:
        """Return a new session of a role, under a name."""
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
        """Return a client that calls the embedded AWS with the rights of a role."""
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
        """Forget all clients: their sessions are no more."""
        with self._lock:
            self._clients.clear()
