"""Runs first in the frozen program: gives the environment back as the user had it.

PyInstaller's starter sets LD_LIBRARY_PATH to our own folder, and keeps the former value under another name. Programs
that we start (xdg-open, nvidia-smi) must not load our libraries; our own workers are set up by their own starter.
"""

import os
import sys

if sys.platform.startswith("linux"):
    before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
    if before:
        os.environ["LD_LIBRARY_PATH"] = before
    else:
        os.environ.pop("LD_LIBRARY_PATH", None)
