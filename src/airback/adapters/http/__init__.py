"""Speaking HTTP to far sides: one pooled client that says whether a request left, and keeps a redacted record."""
