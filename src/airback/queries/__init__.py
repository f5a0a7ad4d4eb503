"""Reads for screens, reports and verification."""
