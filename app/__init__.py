"""Hearth: run language models at home, natively and honestly."""

__version__ = "0.1.0"
