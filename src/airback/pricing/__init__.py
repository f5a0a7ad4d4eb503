"""Pricing: dated rate cards and signed quotes that name their every component."""
