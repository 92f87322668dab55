"""Access keys, and the principals that they belong to."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import moto.backends
from moto.iam.models import ManagedPolicy, Role

from localaws.account import ACCESS_KEY_ID, ACCOUNT_ID, SECRET_ACCESS_KEY
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


def secret_of(access_key_id: str) -> str | None:
    """Return the secret of an access key of this server, of IAM or of STS; None if unknown."""
    if access_key_id == ACCESS_KEY_ID:
        return SECRET_ACCESS_KEY
    iam = moto.backends.get_backend("iam")[ACCOUNT_ID]["aws"]
    key = iam.access_keys.get(access_key_id)
    return str(key.secret_access_key) if key else None


def token_of(access_key_id: str) -> str | None:
    """Return the session token of temporary credentials; None for permanent ones."""
    sts = moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"]
    session = sts.get_assumed_role_from_access_key(access_key_id)
    return str(session.session_token) if session else None


def principal_of(access_key_id: str) -> Principal | None:
    """Return the owner of an access key; None if nobody owns it."""
    if access_key_id == ACCESS_KEY_ID:
        return Principal(f"arn:aws:iam::{ACCOUNT_ID}:root", None)
    sts = moto.backends.get_backend("sts")[ACCOUNT_ID]["aws"]
    session = sts.get_assumed_role_from_access_key(access_key_id)
    if session is not None:
        iam = moto.backends.get_backend("iam")[ACCOUNT_ID]["aws"]
        roles = [role for role in iam.get_roles() if role.arn == session.role_arn]
        return Principal(session.arn, _documents(roles[0]) if roles else ())
    if secret_of(access_key_id) is not None:
        return Principal(f"arn:aws:iam::{ACCOUNT_ID}:user/{access_key_id}", None)
    return None


def _documents(role: Role) -> tuple[Any, ...]:
    inline = [json.loads(document) for document in role.policies.values()]
    attached = [_default_version(policy) for policy in role.managed_policies.values()]
    return (*inline, *attached)


def _default_version(policy: ManagedPolicy) -> Any:
    (version,) = [v for v in policy.versions if v.version_id == policy.default_version_id]
    return json.loads(version.document)
