"""The protocols that far sides are spoken to through; one conformance suite holds each to its word."""
