"""The market: outlets' demands and the matching of orders to them, by price, then time."""
