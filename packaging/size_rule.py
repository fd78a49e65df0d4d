"""The size rule: a function over 40 lines or a module over 400 under app/ must say why, in ``# size: <reason>``.

The line stands on the function's ``def`` line, or among the first lines of the module.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST_FUNCTION = 40
LONGEST_MODULE = 400
TOP_LINES = 5
"""How far down the module's own reason may stand (a docstring's first line may come before it)."""
REASON = re.compile(r"#\s*size:\s*\S")
ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Print every breach under app/; returns the exit status."""
    breaches = [line for path in sorted((ROOT / "app").rglob("*.py")) for line in breaches_in(path)]
    print("\n".join(breaches) or "The size rule holds.")
    return 1 if breaches else 0


def breaches_in(path: Path) -> Iterator[str]:
    """``file:line: what`` for each breach in this file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if len(lines) > LONGEST_MODULE and not any(REASON.search(line) for line in lines[:TOP_LINES]):
        yield f"{shown}:1: the module has {len(lines)} lines, over {LONGEST_MODULE}, and no '# size: <reason>'"
    for node in _functions(ast.parse(text)):
        length = _length(node)
        if length > LONGEST_FUNCTION and not REASON.search(lines[node.lineno - 1]):
            yield f"{shown}:{node.lineno}: {node.name} has {length} lines, over {LONGEST_FUNCTION}"


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    found = ast.walk(tree)
    return (node for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end. Decorators say what a function is for, not what it does."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


if __name__ == "__main__":
    sys.exit(main())
