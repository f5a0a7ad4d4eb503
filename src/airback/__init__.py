"""Airback: a self-hosted platform that buys back prepaid mobile airtime."""

__version__ = "0.1.0"
