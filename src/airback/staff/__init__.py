"""Staff: people, roles, and decisions that need two of them."""
