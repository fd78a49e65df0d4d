"""Runs first in the frozen program: gives the environment back as the user had it.

PyInstaller's starter sets LD_LIBRARY_PATH to our own folder, and keeps the former value under another name. Programs
that we start (xdg-open, nvidia-smi) must not load our libraries. Our own workers are set up by their own starter, which
the last variable asks for: without it they take themselves for parts of this process and find no libraries.
"""

import os
import sys

if sys.platform.startswith("linux"):
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before:
        os.environ["LD_LIBRARY_PATH"] = before
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)

os.environ["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
