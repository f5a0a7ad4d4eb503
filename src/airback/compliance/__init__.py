"""Compliance: licences and the capabilities that depend on them."""
