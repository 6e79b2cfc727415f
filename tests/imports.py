"""Imports of the package, read from its source: what the layer and tidy tests walk."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DYNAMIC = {"import_module", "__import__"}


@dataclass(frozen=True, slots=True)
class Import:
    """
    One imported name, made absolute.

    Attributes:
        importer: Dotted name of the module that imports.
        module: Dotted name of the module named in the statement.
        name: The name taken from *module*, or None for a plain ``import``.
        line: 1-based line of the statement.
    """

    importer: str
    module: str
    name: str | None
    line: int

    @property
    def target(self) -> str:
        """The longest dotted name the statement may stand for."""
        return self.module if self.name is None else f"{self.module}.{self.name}"


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of the module at *path*, seen from *root*."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path, package: str) -> dict[str, Path]:
    """Return dotted name → file for every module of *package* below *root*."""
    files = sorted((root / package).rglob("*.py"))
    return {module_name(file, root): file for file in files}


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """
    Yield every import in the file, wherever it stands.

    Imports inside functions and under ``TYPE_CHECKING`` count like any other, and so
    does ``import_module("…")`` with a literal name: none may hide an edge.
    """
    importer = module_name(path, root)
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield Import(importer, alias.name, None, node.lineno)
            case ast.ImportFrom(module=module, names=names, level=level):
                source = _absolute(package, module or "", level)
                for alias in names:
                    yield Import(importer, source, alias.name, node.lineno)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]):
                if _last_name(func) in DYNAMIC:
                    yield Import(importer, name, None, node.lineno)


def _absolute(package: str, module: str, level: int) -> str:
    if level == 0:
        return module
    parts = package.split(".")
    base = parts[: len(parts) - (level - 1)]
    return ".".join([*base, module] if module else base)


def _last_name(func: ast.expr) -> str:
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""
