"""The repository as the house tests see it: its folder, its Python files, their imports.

Knows no rule; the tests hold those.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What is installed for users.
PRODUCT = ("thinking", "thinker", "server", "clients")


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Full names of all modules that `source`, a module of `package`, imports.

    Wherever the statement stands: inside a function or behind ``TYPE_CHECKING`` it is an
    edge all the same. Of ``from a import b`` both ``a`` and ``a.b`` are named, as ``b``
    may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, level=level, names=names):
                parents = package.split(".")[: len(package.split(".")) - level + 1]
                base = ".".join([*(parents if level else []), *([module] if module else [])])
                yield base
                yield from (f"{base}.{name.name}" for name in names)


def imports_of(path: Path) -> set[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return set(imported_modules(path.read_text(encoding="utf-8"), package))


def top_level(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def module_path(module: str) -> Path | None:
    """The file or the package's folder of one of our modules, below ROOT; None: no such module."""
    place = ROOT / module.replace(".", "/")
    if place.with_suffix(".py").is_file():
        return place.with_suffix(".py").relative_to(ROOT)
    return place.relative_to(ROOT) if (place / "__init__.py").is_file() else None
