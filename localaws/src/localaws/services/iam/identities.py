"""Access keys, and the principals that they belong to."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import moto.backends
from moto.core.utils import utcnow
from moto.iam.models import ManagedPolicy, Role
from moto.sts.models import AssumedRole

from localaws.account import ACCOUNT_ID
from localaws.credentials import AccessKey
from localaws.services.iam.policies import Policy


@dataclass(frozen=True)
class Principal:
    """A caller: a user, the session of a role, or the account itself."""

    arn: str
    documents: tuple[Any, ...] | None
    """The caller's policies; None if it may do everything."""

    def may(self, action: str, resource: str) -> bool:
        """Return whether the policies allow an action on a resource.

        Raises:
            PolicyNotUnderstood: a policy holds an element that is not evaluated here.
        """
        return self.documents is None or self._policy.allows(action, resource)

    @cached_property
    def _policy(self) -> Policy:
        return Policy.parse(*self.documents or ())


class Identities:
    """The access keys that the account knows: the installation's own, and those of IAM and STS.

    Args:
        own: the key that may do everything.
    """

    def __init__(self, own: AccessKey) -> None:
        self._own = own

    def secret_of(self, access_key_id: str) -> str | None:
        """Return the secret of an access key; None if nobody owns the key, or it is inactive."""
        if own := self._own.secret_of(access_key_id):
            return own
        session = _session(access_key_id)
        if session is not None:
            return str(session.secret_access_key)
        iam = moto.backends.get_backend("iam")[ACCOUNT_ID]["aws"]
        key = iam.access_keys.get(access_key_id)
        return str(key.secret_access_key) if key and key.status == "Active" else None

    def token_of(self, access_key_id: str) -> str | None:
        """Return the session token of temporary credentials; None for permanent ones."""
        session = _session(access_key_id)
        return str(session.session_token) if session else None

    def has_expired(self, access_key_id: str) -> bool:
        """Return whether the key is of temporary credentials whose time is over."""
        session = _session(access_key_id)
        return session is not None and session.expiration < utcnow()

    def principal_of(self, access_key_id: str) -> Principal | None:
        """Return the owner of an access key; None if nobody owns it."""
        if access_key_id == self._own.access_key_id:
            return Principal(f"arn:aws:iam::{ACCOUNT_ID}:root", None)
        session = _session(access_key_id)
        if session is not None:
            iam = moto.backends.get_backend("iam")[ACCOUNT_ID]["aws"]
            roles = [role for role in iam.get_roles() if role.arn == session.role_arn]
            return Principal(session.arn, _documents(roles[0]) if roles else ())
        if self.secret_of(access_key_id) is not None:
            return Principal(f"arn:aws:iam::{ACCOUNT_ID}:user/{access_key_id}", None)
        return None


def _session(access_key_id: str) -> AssumedRole | None:
    sts = moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"]
    return sts.get_assumed_role_from_access_key(access_key_id)


def _documents(role: Role) -> tuple[Any, ...]:
    inline = [json.loads(document) for document in role.policies.values()]
    attached = [_default_version(policy) for policy in role.managed_policies.values()]
    return (*inline, *attached)


def _default_version(policy: ManagedPolicy) -> Any:
    (version,) = [v for v in policy.versions if v.version_id == policy.default_version_id]
    return json.loads(version.document)
