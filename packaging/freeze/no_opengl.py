"""Runs first in the frozen program: pyqtgraph imports QtOpenGL for curves drawn by OpenGL, which we never ask for.

An empty module in its place saves 9 MB.
"""

import sys
import types

sys.modules.setdefault("PySide6.QtOpenGL", types.ModuleType("PySide6.QtOpenGL"))
