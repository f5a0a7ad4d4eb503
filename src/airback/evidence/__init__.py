"""Evidence: events with salted leaf hashes, and receipts anyone can check."""
