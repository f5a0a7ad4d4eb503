"""Orders: one buy-back of one asset each, its states and its fills."""
