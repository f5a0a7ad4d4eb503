"""Reads of the demonstration's report and of chaos."""

from typing import Final

from airback.store.named_sql import load

SQL: Final = load("demo.sql", package="airback.queries")
