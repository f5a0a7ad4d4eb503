-- What a simulation writes and reads beside the engine.

-- name: insert_outlet
INSERT INTO outlets (book, outlet, name, created_at) VALUES ($1, $2, $2, $3)

-- name: insert_demands
INSERT INTO demands (book, created_at, deadline_at, id, outlet, carrier, number, amount_fen, price_ppm)
SELECT $1, $2, $3, v.* FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::integer[]) AS v

-- name: open_demands
INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
SELECT book, id, outlet, carrier, number, price_ppm, amount_fen, deadline_at FROM demands WHERE book = $1

-- name: leaves
SELECT seq, leaf FROM events WHERE book = $1 ORDER BY seq

-- name: next_due
-- When the next order is to be looked at.
SELECT min(due_at) FROM work WHERE book = $1

-- name: under_way
-- Orders that no person has to do with.
SELECT count(*) FROM work w JOIN orders o ON o.book = w.book AND o.id = w.order_id
WHERE w.book = $1 AND o.state NOT IN ('in_review', 'awaiting_seller')

-- name: awaiting_seller
-- Orders whose seller is to name a payee: those that wait for one, and ended ones whose payment came back.
SELECT id FROM orders
WHERE book = $1 AND (state = 'awaiting_seller' OR (state = 'closed' AND paid_fen < credited_fen)) ORDER BY id

-- name: unresolved
SELECT a.subject, a.detail, o.result FROM alarms a
JOIN effects e ON e.book = a.book AND e.ref = a.subject
JOIN open_effects o ON o.book = e.book AND o.effect_id = e.id
WHERE a.book = $1 AND a.kind = 'effect_unresolved' AND a.closed_at IS NULL ORDER BY a.id

-- name: of_payment
-- The orders that a payment pays.
SELECT p.order_id FROM effects e JOIN payout_orders p ON p.book = e.book AND p.payout_id = e.payout_id
WHERE e.book = $1 AND e.ref = $2 ORDER BY p.order_id

-- name: in_review
-- Of these orders those whose payment people have to decide about.
SELECT id, state, code FROM orders
WHERE book = $1 AND id = ANY($2::bigint[]) AND state = 'in_review' AND code = 'rail_refused' ORDER BY id

-- name: paused
SELECT NOT routing FROM books WHERE book = $1

-- name: sending
-- Whether effects may go out: off after a restore, until the far sides' statements are in and two people say so.
SELECT sending FROM books WHERE book = $1

-- name: decision_waits
-- Whether the writer has a decision still to read.
SELECT EXISTS (SELECT FROM inbox WHERE book = $1 AND kind = 'decision' AND aside_at IS NULL)

-- name: standing
SELECT id, state, code FROM orders WHERE book = $1 AND id = ANY($2::bigint[]) ORDER BY id

-- name: references
SELECT ref FROM effects WHERE book = $1

-- name: order_ids
SELECT id FROM orders WHERE book = $1

-- name: paid_by
SELECT payout_id, order_id FROM payout_orders WHERE book = $1 ORDER BY payout_id, order_id

-- name: free_to_take
-- Whether nobody was seen writing the book within $3.
SELECT NOT EXISTS (SELECT FROM writers WHERE book = $1 AND seen_at >= $2::timestamptz - $3::interval)

-- name: put_off
-- Open effects that nobody asks about before $2.
SELECT count(*) FROM open_effects WHERE book = $1 AND ask_at > $2
