"""Errors of a deploy or an undeploy."""

import re

_DENIED = re.compile(r"not authorized to perform:? ([\w-]+:[\w*]+)(?:.*?on resource:? (\S+))?")


class DeployError(Exception):
    """A stage cannot be deployed or undeployed; the message says why and what to do."""


def missing_permission(message: str) -> str:
    """Return a sentence about the permission that AWS asks for in an error message.

    Args:
        message: AWS's own words.

    Returns:
        The sentence; it is empty where the message is not about a permission.
    """
    denied = _DENIED.search(message)
    if denied is None:
        return ""
    where = f" on {denied[2]}" if denied[2] else ""
    return (
        f"You lack the permission {denied[1]}{where}. docs/deployment.md has the policy that a"
        " deploy needs, and says which steps can be left out."
    )
