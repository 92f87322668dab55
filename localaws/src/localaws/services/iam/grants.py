"""The single grants of a policy: is each of them needed?

A grant is one action on one resource. It is needed if the policy without it would deny one of the
permissions that were used.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from localaws.services.iam.permissions import Need
from localaws.services.iam.policies import Policy


class Grant(NamedTuple):
    """An action on a resource that a policy allows."""

    action: str
    resource: str


def grants_of(document: Any) -> Iterator[tuple[Grant, Policy]]:
    """Yield every grant of a policy document, with the policy that is left without it."""
    policy = Policy.parse(document)
    for number, statement in enumerate(policy.statements):
        for action in statement.actions:
            for resource in statement.resources:
                others = policy.statements[:number] + policy.statements[number + 1 :]
                # The rest of the statement: other actions on all resources, and this action on the
                # other resources.
                rest = [
                    replace(statement, actions=tuple(a for a in statement.actions if a != action)),
                    replace(
                        statement,
                        actions=(action,),
                        resources=tuple(r for r in statement.resources if r != resource),
                    ),
                ]
                left = tuple(part for part in rest if part.actions and part.resources)
                yield Grant(action, resource), Policy(others + left)


def not_needed(document: Any, asked: Iterable[Need]) -> list[Grant]:
    """Return the grants of a policy document that no used permission needs.

    Args:
        document: the policy.
        asked: the permissions that were used.
    """
    needs = set(asked)
    return [
        grant
        for grant, without in grants_of(document)
        if all(without.allows(*need) for need in needs)
    ]


def as_table(documents: Sequence[tuple[str, Any]]) -> str:
    """Return a Markdown table of actions, resources and the names of those who may.

    Args:
        documents: policy documents, each after the name of its owner.
    """
    who: dict[Grant, list[str]] = {}
    for name, document in documents:
        for grant, _ in grants_of(document):
            who.setdefault(grant, []).append(name)
    lines = ["| action | resource | who |", "|---|---|---|"]
    lines += [
        f"| `{grant.action}` | `{grant.resource}` | {', '.join(names)} |"
        for grant, names in sorted(who.items())
    ]
    return "\n".join(lines)
