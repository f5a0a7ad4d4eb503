"""The engine: one writer per book, batch steps, and the senders of effects."""
