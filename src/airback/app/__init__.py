"""Wiring: settings, keys, processes."""
