-- What benches ask the database.

-- name: closed
-- How many orders were bought, delivered, paid and receipted.
SELECT count(*) FROM orders WHERE state = 'closed'
