-- What benches ask the database.

-- name: closed
-- How many orders were bought, delivered, paid and receipted.
SELECT count(*) FROM orders WHERE state = 'closed'

-- name: sent_by_others
-- Which of these references another book sent: its operator's contract, not ours.
SELECT ref FROM effects WHERE book <> $1 AND ref = ANY($2::text[])
