-- Where `verify` last found a book clean. Both writes run in the repeatable-read transaction that found it so.

-- name: mark_of
-- The book's mark, and whether the log still has the event it stands on.
SELECT m.at, m.since, m.seq, m.open_orders, m.open_effects, m.statements,
       EXISTS (SELECT FROM events e WHERE e.book = $1 AND e.seq = m.seq AND e.leaf = m.leaf) AS stands
FROM verify_marks m WHERE m.book = $1

-- name: set_mark
-- Nothing is returned when the book's log is empty, on which no mark can stand.
INSERT INTO verify_marks (book, at, since, open_orders, open_effects, statements, seq, leaf)
SELECT $1, $2, $3, ARRAY(SELECT order_id FROM work WHERE book = $1 ORDER BY order_id),
       ARRAY(SELECT effect_id FROM open_effects WHERE book = $1 ORDER BY effect_id), $4, seq, leaf
FROM events WHERE book = $1 ORDER BY seq DESC LIMIT 1
ON CONFLICT (book) DO UPDATE SET at = excluded.at, since = excluded.since, open_orders = excluded.open_orders,
    open_effects = excluded.open_effects, statements = excluded.statements, seq = excluded.seq, leaf = excluded.leaf
RETURNING seq

-- name: set_balances
-- Each account's sums less what was written from $2 on; only accounts that moved are written.
INSERT INTO verify_balances (book, account, debits_posted, credits_posted, debits_pending, credits_pending)
SELECT $1, n.id, n.debits_posted, n.credits_posted, n.debits_pending, n.credits_pending
FROM (
    SELECT a.id, a.debits_posted - coalesce(e.debits_posted, 0) AS debits_posted,
           a.credits_posted - coalesce(e.credits_posted, 0) AS credits_posted,
           a.debits_pending - coalesce(e.debits_pending, 0) AS debits_pending,
           a.credits_pending - coalesce(e.credits_pending, 0) AS credits_pending
    FROM accounts a LEFT JOIN (
        SELECT account, sum(debits_posted) AS debits_posted, sum(credits_posted) AS credits_posted,
               sum(debits_pending) AS debits_pending, sum(credits_pending) AS credits_pending
        FROM entries WHERE book = $1 AND created_at >= $2 GROUP BY account) e ON e.account = a.id
    WHERE a.book = $1) n
LEFT JOIN verify_balances v ON v.book = $1 AND v.account = n.id
WHERE (v.debits_posted, v.credits_posted, v.debits_pending, v.credits_pending)
    IS DISTINCT FROM (n.debits_posted, n.credits_posted, n.debits_pending, n.credits_pending)
ON CONFLICT (book, account) DO UPDATE SET
    debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
    debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending
