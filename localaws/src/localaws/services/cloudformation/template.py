"""CloudFormation templates: parameters, conditions, intrinsic functions, order of resources."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import yaml

_DEEPEST = 100
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """The template or a parameter is invalid."""


class Template:
    """A template, with values for its parameters.

    Args:
        text: YAML or JSON.
        given: values of parameters.
        pseudo: values of pseudo parameters, such as ``AWS::Region``.

    Raises:
        TemplateError: the text is no template, or a parameter is unknown, missing or not allowed.
    """

    def __init__(self, text: str, given: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        self._document: dict[str, Any] = _load(text)
        self.parameters = self._parameters(given)
        self._known: dict[str, Any] = {**pseudo, **self.parameters}
        self.resources: dict[str, dict[str, Any]] = {
            name: resource
            for name, resource in self._document["Resources"].items()
            if self._holds(resource.get("Condition"))
        }
        """The resources whose conditions hold, as in the document."""

    def _parameters(self, given: Mapping[str, str]) -> dict[str, str]:
        declared: dict[str, Any] = self._document.get("Parameters", {})
        if unknown := sorted(set(given) - set(declared)):
            raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        values = {name: given.get(name, known.get("Default")) for name, known in declared.items()}
        if missing := [name for name, value in values.items() if value is None]:
            raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
        for name, value in values.items():
            allowed = declared[name].get("AllowedValues")
            if allowed and value not in allowed:
                raise TemplateError(f"Parameter '{name}' must be one of {allowed}")
            pattern = declared[name].get("AllowedPattern")
            if pattern and not re.fullmatch(pattern, str(value)):
                raise TemplateError(f"Parameter '{name}' must match pattern {pattern}")
        return {name: str(value) for name, value in values.items()}

    def in_order(self) -> Iterator[str]:
        """Yield the names of the resources, each after the resources that it needs.

        Raises:
            TemplateError: resources need each other in a circle.
        """
        done: set[str] = set()
        while len(done) < len(self.resources):
            ready = [n for n in self.resources if n not in done and self._needs(n) <= done]
            if not ready:
                raise TemplateError("Circular dependency between resources")
            yield from ready
            done.update(ready)

    def properties(self, name: str, made: Mapping[str, "PhysicalResource"]) -> dict[str, Any]:
        """Return the properties of a resource, with all functions resolved."""
        properties: dict[str, Any] = self.resolve(self.resources[name].get("Properties", {}), made)
        return properties

    def outputs(self, made: Mapping[str, "PhysicalResource"]) -> dict[str, str]:
        """Return the outputs whose conditions hold."""
        return {
            name: str(self.resolve(output["Value"], made))
            for name, output in self._document.get("Outputs", {}).items()
            if self._holds(output.get("Condition"))
        }

    def resolve(self, value: Any, made: Mapping[str, "PhysicalResource"]) -> Any:
        """Return a value with its intrinsic functions replaced by their results."""
        if isinstance(value, list):
            resolved = [self.resolve(item, made) for item in value]
            return [item for item in resolved if item is not _NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function in _FUNCTIONS:
                return _FUNCTIONS[function](self, argument, made)
            if function.startswith("Fn::"):
                raise TemplateError(f"{function} is not supported")
        resolved_items = {key: self.resolve(item, made) for key, item in value.items()}
        return {key: item for key, item in resolved_items.items() if item is not _NO_VALUE}

    def _holds(self, condition: str | None) -> bool:
        if condition is None:
            return True
        return bool(self.resolve(self._document["Conditions"][condition], {}))

    def _needs(self, name: str) -> set[str]:
        """Return the names of the resources that a resource needs."""
        resource = self.resources[name]
        after = resource.get("DependsOn", [])
        found = set([after] if isinstance(after, str) else after)
        found.update(_references(resource.get("Properties", {})))
        return found & set(self.resources)

    # --- intrinsic functions ---

    def _ref(self, name: str, made: Mapping[str, "PhysicalResource"]) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        if name in self._known:
            return self._known[name]
        if name in made:
            return made[name].reference
        raise TemplateError(f"Unresolved resource dependencies [{name}]")

    def _get_attribute(self, of: Any, made: Mapping[str, "PhysicalResource"]) -> str:
        name, _, attribute = of.partition(".") if isinstance(of, str) else (of[0], ".", of[1])
        if name not in made or attribute not in made[name].attributes:
            raise TemplateError(f"Unresolved attribute {name}.{attribute}")
        return made[name].attributes[attribute]

    def _substitute(self, argument: Any, made: Mapping[str, "PhysicalResource"]) -> str:
        text, own = (argument, {}) if isinstance(argument, str) else argument

        def value(match: "re.Match[str]") -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.resolve(own[name], made))
            return str(self._get_attribute(name, made) if "." in name else self._ref(name, made))

        return _VARIABLE.sub(value, text)

    def _if(self, argument: Any, made: Mapping[str, "PhysicalResource"]) -> Any:
        condition, then, otherwise = argument
        return self.resolve(then if self._holds(condition) else otherwise, made)

    def _equals(self, argument: Any, made: Mapping[str, "PhysicalResource"]) -> bool:
        left, right = self.resolve(argument, made)
        return str(left) == str(right)

    def _join(self, argument: Any, made: Mapping[str, "PhysicalResource"]) -> str:
        separator, parts = argument
        return str(separator).join(str(part) for part in self.resolve(parts, made))


class PhysicalResource:
    """An existing resource, as other resources of the template refer to it.

    Args:
        reference: the result of ``Ref``.
        attributes: the results of ``Fn::GetAtt``.
    """

    def __init__(self, reference: str, **attributes: str) -> None:
        self.reference = reference
        self.attributes = attributes


_NO_VALUE = object()
_FUNCTIONS: dict[str, Callable[[Template, Any, Mapping[str, PhysicalResource]], Any]] = {
    "Ref": Template._ref,
    "Fn::GetAtt": Template._get_attribute,
    "Fn::Sub": Template._substitute,
    "Fn::If": Template._if,
    "Fn::Join": Template._join,
    "Fn::Equals": Template._equals,
    "Fn::Not": lambda template, argument, made: not template.resolve(argument, made)[0],
    "Fn::And": lambda template, argument, made: all(template.resolve(argument, made)),
    "Fn::Or": lambda template, argument, made: any(template.resolve(argument, made)),
    "Condition": lambda template, argument, made: (
        template._holds(argument)
        if isinstance(argument, str)
        else {"Condition": template.resolve(argument, made)}  # a member of a policy's statement
    ),
}


def _references(value: Any) -> Iterator[str]:
    """Yield the names that a value refers to."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            elif key == "Fn::GetAtt":
                yield item.partition(".")[0] if isinstance(item, str) else item[0]
            elif key == "Fn::Sub":
                text = item if isinstance(item, str) else item[0]
                yield from (match[2].partition(".")[0] for match in _VARIABLE.finditer(text))
            else:
                yield from _references(item)


class _Loader(yaml.SafeLoader):
    """Reads the short forms of intrinsic functions: ``!Ref X`` means ``{"Ref": "X"}``."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)
_Loader.yaml_implicit_resolvers = {  # dates, such as the version of a policy, stay texts
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def _check_form(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise TemplateError("Template format error: YAML aliases are not allowed in templates")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise TemplateError("Template format error: the template is nested too deeply")


def _load(text: str) -> dict[str, Any]:
    """Return the document of a template.

    CloudFormation does not support aliases (the page on template formats in its User Guide).
    """
    try:
        _check_form(text)
        document = yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise TemplateError(f"Template format error: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise TemplateError("Template format error: the template has no resources")
    return document
