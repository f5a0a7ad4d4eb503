"""Pages: the seller's on a phone, the operator's console."""
