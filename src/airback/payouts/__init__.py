"""Payouts: payments to sellers, apart from orders and many-to-many with them."""
