"""Figures: what `make bench` measures. Never part of the test run: machines are shared and noisy."""
