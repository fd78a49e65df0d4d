"""The installed program, tried as a person would; see ``devkit/trial.py``."""
