-- What benches ask the database.

-- name: closed
-- How many orders were bought, delivered, paid and receipted.
SELECT count(*) FROM orders WHERE state = 'closed'

-- name: sent_by_others
-- Which of these references another book sent: its operator's contract, not ours.
SELECT ref FROM effects WHERE book <> $1 AND ref = ANY($2::text[])

-- name: still_open
-- Whether any of these orders has work left.
SELECT EXISTS (SELECT FROM work WHERE book = $1 AND order_id = ANY($2::bigint[]))

-- name: waited_for_money
-- From acceptance until the payment was known to have been made.
SELECT e.at - o.submitted_at AS waited
FROM orders o
JOIN events e ON e.book = o.book AND e.order_id = o.id AND e.action = 'engine:payout:paid'
WHERE o.book = $1 AND o.id = ANY($2::bigint[])
