"""The ledger: double entry, append-only, two-phase; the truth about money."""
