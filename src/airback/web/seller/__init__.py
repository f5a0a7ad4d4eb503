"""Pages for sellers: choose, prove, see the price, agree, follow the money."""
