"""Single owners: some packages may be imported in one place only, and some modules may import little.

import-linter checks the layers; these rules name outside packages and single modules, which reads best as a table.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OWNERS: Mapping[str, tuple[str, ...]] = {
    "PySide6": ("app.ui",),
    "shiboken6": ("app.ui",),
    "llama_cpp": ("app.runtime.llama",),
    "huggingface_hub": ("app.models.hub",),
    "starlette": ("app.server",),
    "uvicorn": ("app.server",),
    "ziamath": ("app.ui.formula",),
    "torch": ("app.optimize.training",),
    "app.ui": ("app.ui", "app.__main__"),
}
"""What is imported -> who may: a package, or a module with what it splits into (``llama`` with ``llama_*``)."""
ONLY: Mapping[str, tuple[str, ...]] = {
    "app.runtime.scheduler": ("app.core.generate", "app.runtime.jobs", "app.runtime.ledger"),
    "app.runtime.jobs": (),
    "app.runtime.ledger": (),
}
"""Who -> all that it may import besides the standard library: pure logic stays pure."""


def main() -> int:
    """Print every breach under app/; returns the exit status."""
    breaches = [line for path in sorted((ROOT / "app").rglob("*.py")) for line in breaches_in(path, ROOT)]
    print("\n".join(breaches) or "Every package is imported by its owner only.")
    return 1 if breaches else 0


def breaches_in(path: Path, root: Path) -> Iterator[str]:
    """``file:line: what`` for each import that breaks a rule."""
    importer = module_name(path.relative_to(root))
    for line, name in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if reason := breach(importer, name):
            yield f"{path.relative_to(root)}:{line}: {reason}"


def module_name(path: Path) -> str:
    """``app/core/__init__.py`` -> ``app.core``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, late and type-checking imports too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def breach(importer: str, imported: str) -> str | None:
    """Why this import is not allowed, or None when it is."""
    for package, owners in OWNERS.items():
        if _within(imported, package) and not _any_within(importer, owners):
            return f"{package} may be imported in {', '.join(owners)} only"
    allowed = ONLY.get(importer)
    if allowed is None or _standard(imported) or _any_within(imported, allowed):
        return None
    return f"{importer} may import only the standard library and {', '.join(allowed)}, not {imported}"


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _any_within(name: str, packages: Iterable[str]) -> bool:
    """Inside one of the packages, or one of the modules it has been split into (``llama`` -> ``llama_batch``)."""
    return any(_within(name, package) or (package.count(".") > 1 and name.startswith(f"{package}_"))
               for package in packages)  # fmt: skip


def _standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


if __name__ == "__main__":
    sys.exit(main())
