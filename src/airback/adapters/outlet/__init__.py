"""Outlets: telling them of fills and prices."""
