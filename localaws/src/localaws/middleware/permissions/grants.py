"""The grants of policies, one by one, compared with what was really needed.

A grant is one action on one resource. Which one is needed is found out by taking it away: if
everything that was asked for is allowed without it, too, it is too much.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from localaws.middleware.permissions.actions import Need
from localaws.services.iam.policies import Policy


class Grant(NamedTuple):
    """An action on a resource that a policy allows."""

    action: str
    resource: str


def grants_of(document: Any) -> Iterator[tuple[Grant, Policy]]:
    """Return every grant of a policy document, and what the policy is without it."""
    policy = Policy.parse(document)
    for number, statement in enumerate(policy.statements):
        for action in statement.actions:
            for resource in statement.resources:
                others = policy.statements[:number] + policy.statements[number + 1 :]
                # What is left of the statement: other actions on all, this action on others.
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
    """Return the grants without which everything that was asked for would be allowed, too."""
    needs = set(asked)
    return [
        grant
        for grant, without in grants_of(document)
        if all(without.allows(*need) for need in needs)
    ]


def as_table(documents: Sequence[tuple[str, Any]]) -> str:
    """Return a Markdown table of actions and resources, and of who may do that.

    Args:
        documents: policy documents, each with the name of who has it.
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
