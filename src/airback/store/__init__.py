"""PostgreSQL: migrations, named SQL and the Python that calls it."""
