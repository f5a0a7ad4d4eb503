"""Pages of the operator's team: one console for orders, money, approvals and accounts."""
