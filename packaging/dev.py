"""The developer's entry point: one file to call, on Linux, macOS and Windows, with nothing installed but Python.

    python3 packaging/dev.py run [arguments of the program]
    py packaging\\dev.py test -k planner

This file must still parse on an old Python, to be able to say so; the work is in ``devkit``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEWER = ("python3.13", "python3.12", "python3.11")


def main() -> int:
    """Hand over to ``devkit.commands``; returns the exit status."""
    if sys.version_info < OLDEST:
        return _start_newer()
    from devkit import commands  # noqa: PLC0415 - its syntax needs Python 3.11

    return commands.main(sys.argv[1:])


def _start_newer() -> int:
    """Run this file again with a newer Python from PATH, or say that there is none."""
    for name in NEWER:
        path = shutil.which(name)
        if path and _works(path):
            return subprocess.call([path, os.path.abspath(__file__), *sys.argv[1:]])  # noqa: PTH100 - old Pythons
    found = ".".join(str(part) for part in sys.version_info[:3])
    print(
        f"Hearth needs Python 3.11 or newer, and this is {found}. Install a newer one "
        "(python3.11 on Debian and Ubuntu, python.org elsewhere) and run: python3.11 packaging/dev.py ...",
        file=sys.stderr,
    )
    return 1


def _works(path: str) -> bool:
    """Whether this is a Python that starts: a version manager leaves names that don't."""
    test = f"import sys; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.call([path, "-c", test], stderr=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    sys.exit(main())
