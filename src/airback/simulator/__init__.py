"""One seed decides clock, chance, traffic, faults and crashes; the engine, its SQL and PostgreSQL are the real ones."""
