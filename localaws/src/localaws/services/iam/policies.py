"""Evaluation of IAM policies. An element that is not understood is an error, never ignored.

Source: "Policy evaluation logic" and "IAM JSON policy elements reference" in the IAM User Guide.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_MEMBERS = frozenset(
    {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


class PolicyNotUnderstood(Exception):
    """A policy holds an element that is not evaluated here."""


@dataclass(frozen=True)
class Context:
    """The facts about a request beside action and resource."""

    principal: str = ""
    """The calling service, for a resource-based policy; empty for an identity-based policy."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The values of condition keys, by the keys in lower case."""


NOTHING_KNOWN = Context()


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    sid: str
    effect: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    services: tuple[str, ...]
    """The principals of a resource-based policy."""
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Operator, key in lower case, values."""

    @classmethod
    def parse(cls, document: Any) -> "Statement":
        """Return the statement that a document holds.

        Raises:
            PolicyNotUnderstood: the statement holds an element that is not evaluated here.
        """
        unknown = set(document) - _MEMBERS
        if unknown or document.get("Effect") not in ("Allow", "Deny"):
            raise PolicyNotUnderstood(f"statement {document}")
        statement = cls(
            sid=document.get("Sid", ""),
            effect=document["Effect"],
            actions=_strings(document.get("Action", ())),
            not_actions=_strings(document.get("NotAction", ())),
            resources=_strings(document.get("Resource", ())),
            not_resources=_strings(document.get("NotResource", ())),
            services=_services(document.get("Principal", {})),
            conditions=tuple(_conditions(document.get("Condition", {}))),
        )
        if not (statement.actions or statement.not_actions):
            raise PolicyNotUnderstood(f"a statement without actions: {document}")
        if not (statement.resources or statement.not_resources):
            raise PolicyNotUnderstood(f"a statement without resources: {document}")
        if any("${" in pattern for pattern in statement.resources + statement.not_resources):
            raise PolicyNotUnderstood(f"a policy variable: {document}")
        return statement

    def covers(self, action: str, resource: str, context: Context = NOTHING_KNOWN) -> bool:
        """Return whether the statement applies to an action on a resource.

        Raises:
            PolicyNotUnderstood: a condition needs a fact that is not known about the request.
        """
        action = action.lower()
        if self.actions and not _any(self.actions, action, lower=True):
            return False
        if self.not_actions and _any(self.not_actions, action, lower=True):
            return False
        if self.resources and not _any(self.resources, resource):
            return False
        if self.not_resources and _any(self.not_resources, resource):
            return False
        if context.principal and context.principal not in self.services:
            return False
        return all(_holds(*condition, context) for condition in self.conditions)


@dataclass(frozen=True)
class Policy:
    """The statements of a document."""

    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, *documents: Any) -> "Policy":
        """Return the statements of documents that apply together, as one policy.

        Raises:
            PolicyNotUnderstood: a document holds an element that is not evaluated here.
        """
        found: list[Statement] = []
        for document in documents:
            statements = document["Statement"]
            if isinstance(statements, Mapping):
                statements = [statements]
            found += [Statement.parse(statement) for statement in statements]
        return cls(tuple(found))

    def allows(self, action: str, resource: str, context: Context = NOTHING_KNOWN) -> bool:
        """Return whether the policy allows an action on a resource and does not deny it."""
        effects = {s.effect for s in self.statements if s.covers(action, resource, context)}
        return effects == {"Allow"}


def _any(patterns: Iterable[str], value: str, *, lower: bool = False) -> bool:
    return any(_pattern(p.lower() if lower else p).fullmatch(value) for p in patterns)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(c) or re.escape(c) for c in text), re.DOTALL)


def _strings(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not all(isinstance(item, str) for item in value):
        raise PolicyNotUnderstood(f"{value} where strings are expected")
    return tuple(value)


def _services(principal: Any) -> tuple[str, ...]:
    if not isinstance(principal, Mapping) or set(principal) - {"Service"}:
        return ()  # an account or a user; only services call here
    return _strings(principal.get("Service", ()))


# --- conditions -----------------------------------------------------------------------------


def _conditions(document: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for operator, tests in document.items():
        if operator not in ("StringEquals", "StringLike", "ArnEquals", "ArnLike"):
            raise PolicyNotUnderstood(f"condition {operator}")
        for key, values in tests.items():
            yield operator, key.lower(), _strings(values)


def _holds(operator: str, key: str, values: tuple[str, ...], context: Context) -> bool:
    if key not in context.values:
        raise PolicyNotUnderstood(f"condition on {key}, whose value is not known here")
    value = context.values[key]
    if operator == "StringEquals":
        return value in values
    if operator == "StringLike":
        return _any(values, value)
    parts = value.split(":", 5)  # the parts of an ARN are compared one by one
    for expected in values:
        patterns = expected.split(":", 5)
        if len(patterns) == len(parts) and all(
            _pattern(pattern).fullmatch(part) for pattern, part in zip(patterns, parts, strict=True)
        ):
            return True
    return False
