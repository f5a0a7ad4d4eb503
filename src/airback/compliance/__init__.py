"""Compliance: licences and what each allows."""
