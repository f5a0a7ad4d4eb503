-- Who writes a book. One clock measures leases: the database's, whichever machine a worker runs on.

-- name: create
INSERT INTO books (book, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (book) DO NOTHING

-- name: candidates
-- Books without a writer that was seen within $2.
SELECT b.book FROM books b LEFT JOIN writers w ON w.book = b.book
WHERE w.book IS NULL OR w.seen_at < coalesce($1, clock_timestamp()) - $2::interval ORDER BY b.book

-- name: clock
-- Asked before a row is changed, not while: a distributed table's nodes must all write the same.
SELECT clock_timestamp()

-- name: take
-- Take a book whose writer was not seen within $3; the new epoch fences the former one off.
UPDATE books SET epoch = epoch + 1
WHERE book = $1 AND NOT EXISTS (SELECT FROM writers WHERE writers.book = $1 AND seen_at >= $2::timestamptz - $3::interval)
RETURNING epoch

-- name: retake
-- The same worker begins a new epoch after a failure, so that a commit of unknown fate is settled either way.
UPDATE books SET epoch = epoch + 1
WHERE book = $1 AND EXISTS (SELECT FROM writers WHERE writers.book = $1 AND worker = $2)
RETURNING epoch

-- name: switches
SELECT routing, sending FROM books WHERE book = $1

-- name: park
-- An order that a bug stopped: looked at again much later, while a person is told.
UPDATE work SET due_at = $3 WHERE book = $1 AND order_id = $2

-- name: sign_on
INSERT INTO writers (book, worker, seen_at) VALUES ($1, $2, $3)
ON CONFLICT (book) DO UPDATE SET worker = EXCLUDED.worker, seen_at = EXCLUDED.seen_at

-- name: seen
-- A heartbeat; touches nothing when another worker has signed on.
UPDATE writers SET seen_at = $3 WHERE book = $1 AND worker = $2

-- name: sign_off
DELETE FROM writers WHERE book = $1 AND worker = $2

-- name: next_seq
-- The sequence number of the next event.
SELECT coalesce((SELECT seq FROM events WHERE book = $1 ORDER BY seq DESC LIMIT 1), 0) + 1 AS next_seq

-- name: rate_cards
-- Every price list published after version $2.
SELECT version, document FROM rate_cards WHERE book = $1 AND version > $2 ORDER BY version

-- name: agreements
-- Every agreement on a split published after version $2.
SELECT version, scope, document, effective_at FROM split_agreements WHERE book = $1 AND version > $2 ORDER BY version

-- name: licensed
-- Capabilities that some licence in force allows.
SELECT DISTINCT unnest(capabilities) AS capability FROM licences
WHERE book = $1 AND valid_from <= $2 AND valid_until > $2

-- name: publish_first
-- The price list an installation starts with, unless it has one.
INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at)
SELECT $1, 1, $2, $3, 'setup', 'operator', $3 WHERE NOT EXISTS (SELECT FROM rate_cards WHERE book = $1)

-- name: has_money
-- Whether anything was ever posted or is about to be.
SELECT EXISTS (SELECT FROM accounts WHERE book = $1) OR EXISTS (SELECT FROM inbox WHERE book = $1 AND kind = 'decision')

-- name: pause_all
-- Nothing is bought and nothing is sent, in any book, and whoever still writes one is fenced off. Of columns that every
-- version has.
UPDATE books SET routing = false, sending = false, pause_reason = $1, epoch = epoch + 1

-- name: await_statements
-- Every book awaits statements from the day of its last event; one that still awaited some, from where it began.
UPDATE books b SET restored_at = $1, awaited_from = least(
    ($1::timestamptz AT TIME ZONE 'Asia/Shanghai')::date,
    coalesce(b.awaited_from, (SELECT (e.at AT TIME ZONE 'Asia/Shanghai')::date FROM events e
                              WHERE e.book = b.book ORDER BY e.seq DESC LIMIT 1)))

-- name: restored_at
-- When the book came out of a backup; nothing once sending is on again.
SELECT restored_at FROM books WHERE book = $1 AND NOT sending

-- name: forget_writers
-- The workers of the lost server.
DELETE FROM writers

-- name: count_orders
-- Orders of all books.
SELECT count(*) FROM orders
