"""The command line: the same services as the window's, without one."""

from app.cli.main import main

__all__ = ["main"]
