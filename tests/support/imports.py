"""Which module imports which, read from the source text."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

Sources = Mapping[str, str]
"""Source texts by the names of their modules; a package has the name of its folder."""


class Import(NamedTuple):
    """An import of a module."""

    module: str
    is_at_start: bool
    """Whether the import runs as soon as the importing module is imported itself. Imports inside
    functions and under ``if TYPE_CHECKING`` do not."""


class Rule(NamedTuple):
    """Modules that certain other modules may not import."""

    reason: str
    importers: tuple[str, ...]
    """Modules and packages; the modules of a package are included."""
    forbidden: tuple[str, ...]
    """Modules and packages, of this project or of others."""
    exceptions: tuple[str, ...] = ()
    """Importers that may."""


def sources_in(folder: Path, package: str) -> dict[str, str]:
    """Return the sources of a package, or of the single module ``package.py``, in a folder."""
    if (folder / f"{package}.py").exists():
        return {package: (folder / f"{package}.py").read_text()}
    return {
        _module_name(path.relative_to(folder)): path.read_text()
        for path in sorted((folder / package).rglob("*.py"))
    }


def imports(module: str, sources: Sources) -> list[Import]:
    """Return the imports of a module, wherever in the module they are."""
    found = []
    for node, is_at_start in _walk(ast.parse(sources[module]), is_at_start=True):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, is_at_start) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module, sources)
            for alias in node.names:
                # "from package import module" imports the module, if there is one of this name.
                name = f"{origin}.{alias.name}"
                found.append(Import(name if name in sources else origin, is_at_start))
    return found


def breaches(module: str, sources: Sources, rules: tuple[Rule, ...]) -> list[str]:
    """Return a sentence for each import of a module that breaks a rule."""
    return [
        f"{module} imports {imported.module}: {rule.reason}"
        for rule in rules
        if _is_in(module, rule.importers) and not _is_in(module, rule.exceptions)
        for imported in imports(module, sources)
        if _is_in(imported.module, rule.forbidden)
    ]


def upward_imports(module: str, sources: Sources, layers: tuple[frozenset[str], ...]) -> list[str]:
    """Return a sentence for each import of a module that is not from a lower layer.

    Args:
        module: is in one of the layers.
        sources: all modules.
        layers: names of modules, from the lowest layer to the highest.
    """
    level = {name: number for number, layer in enumerate(layers) for name in layer}
    return [
        f"{module} imports {imported.module}, which is not in a lower layer"
        for imported in imports(module, sources)
        if imported.module in level and level[imported.module] >= level[module]
    ]


def circles(sources: Sources) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others.

    Only imports that run at the start count.
    """
    edges = {
        module: {i.module for i in imports(module, sources) if i.is_at_start} & sources.keys()
        for module in sources
    }
    reachable = {module: _reachable(module, edges) for module in edges}
    groups = {
        frozenset(other for other in reachable[module] if module in reachable[other])
        for module in edges
        if module in reachable[module]
    }
    return sorted(sorted(group) for group in groups)


def long_files(folder: Path, limit: int) -> dict[str, int]:
    """Return the Python files below a folder that have more lines than the limit."""
    lines = {
        str(path.relative_to(folder)): len(path.read_text().splitlines())
        for path in folder.rglob("*.py")
    }
    return {path: count for path, count in lines.items() if count > limit}


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _origin(node: ast.ImportFrom, module: str, sources: Sources) -> str:
    """Return the absolute name of the module in ``from … import``."""
    if not node.level:
        return node.module or ""
    is_package = any(name.startswith(f"{module}.") for name in sources)
    parts = module.split(".")
    parent = parts[: len(parts) - node.level + is_package]
    return ".".join([*parent, *([node.module] if node.module else [])])


def _walk(node: ast.AST, *, is_at_start: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        is_guarded = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        runs = is_at_start and not is_function and not is_guarded
        yield child, runs
        yield from _walk(child, is_at_start=runs)


def _reachable(module: str, edges: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(edges[module])
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += edges[current]
    return found


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
