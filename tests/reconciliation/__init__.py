"""Reconciliation: formats, bad input, matching."""
