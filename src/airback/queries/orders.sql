-- name: get_order
-- One order.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.id = $2

-- name: get_orders
-- Several orders.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.id = ANY ($2::bigint[])

-- name: find_by_client_ref
-- The order a client knows by its own reference.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.client = $2 AND o.client_ref = $3

-- name: newest
-- All orders, newest first.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.id < $2
ORDER BY o.id DESC LIMIT $3

-- name: newest_of_client
-- A client's orders, newest first.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.client = $4 AND o.id < $2
ORDER BY o.id DESC LIMIT $3

-- name: newest_in_state
-- Orders that ended in a state, newest first.
SELECT o.*, p.ref AS seller_ref FROM orders o LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE o.book = $1 AND o.state = $4 AND ($5::text IS NULL OR o.client = $5) AND o.id < $2
ORDER BY o.id DESC LIMIT $3

-- name: newest_open_in_state
-- Open orders in a state, newest first. Every open order has its row in `work`, which stays small.
SELECT o.*, p.ref AS seller_ref
FROM work w
JOIN orders o ON o.book = w.book AND o.id = w.order_id
LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE w.book = $1 AND w.order_id < $2 AND o.state = $4 AND ($5::text IS NULL OR o.client = $5)
ORDER BY w.order_id DESC LIMIT $3

-- name: newest_of_seller
-- One seller's orders at a client, newest first.
SELECT o.*, p.ref AS seller_ref
FROM parties p
JOIN orders o ON o.book = p.book AND o.seller = p.id
WHERE p.book = $1 AND p.client = $4 AND p.ref = $5 AND o.id < $2 AND ($6::text IS NULL OR o.state = $6)
ORDER BY o.id DESC LIMIT $3

-- name: search_digits
-- Orders of a phone number or a printed card number, whole, newest first.
SELECT o.*, p.ref AS seller_ref
FROM (
    SELECT id FROM orders WHERE book = $1 AND number = $4 AND id < $2
    UNION ALL
    SELECT id FROM orders WHERE book = $1 AND card_number = $4 AND id < $2
) AS found
JOIN orders o ON o.book = $1 AND o.id = found.id
LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE ($5::text IS NULL OR o.client = $5) AND ($6::text IS NULL OR o.state = $6)
ORDER BY o.id DESC LIMIT $3

-- name: search_refs
-- Orders that any client calls by this reference, and those of the seller it names, newest first.
SELECT o.*, p.ref AS seller_ref
FROM (
    SELECT o.id FROM clients c
    JOIN orders o ON o.book = c.book AND o.client = c.client AND o.client_ref = $4
    WHERE c.book = $1 AND o.id < $2
    UNION
    SELECT o.id FROM clients c
    JOIN parties s ON s.book = c.book AND s.client = c.client AND s.ref = $4
    JOIN orders o ON o.book = s.book AND o.seller = s.id
    WHERE c.book = $1 AND o.id < $2
) AS found
JOIN orders o ON o.book = $1 AND o.id = found.id
LEFT JOIN parties p ON p.book = o.book AND p.id = o.seller
WHERE ($5::text IS NULL OR o.client = $5) AND ($6::text IS NULL OR o.state = $6)
ORDER BY o.id DESC LIMIT $3

-- name: standing
-- What a waiting caller looks at again and again.
SELECT state, code, cancel, updated_at FROM orders WHERE book = $1 AND id = $2

-- name: fills_of
-- The parts of an order and what became of them.
SELECT id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, delivered_fen, created_at, routed
FROM fills WHERE book = $1 AND order_id = $2 ORDER BY id

-- name: payouts_of
-- The payouts that pay an order, with its share in each.
SELECT p.id, p.rail, p.amount_fen, po.amount_fen AS share_fen, p.state, p.code, p.far_ref, p.created_at, p.updated_at
FROM payout_orders po JOIN payouts p ON p.book = po.book AND p.id = po.payout_id
WHERE po.book = $1 AND po.order_id = $2 ORDER BY p.id

-- name: events_of
-- An order's events.
SELECT seq, action, at, body FROM events WHERE book = $1 AND order_id = $2 AND seq > $3 ORDER BY seq LIMIT $4

-- name: effects_of
-- Effects of an order and of the payouts that pay it.
SELECT e.id, e.kind, e.far_side, e.fill_id, e.payout_id, e.ref, e.amount_fen, e.send_by, e.epoch, e.at
FROM effects e WHERE e.book = $1 AND e.order_id = $2
UNION
SELECT e.id, e.kind, e.far_side, e.fill_id, e.payout_id, e.ref, e.amount_fen, e.send_by, e.epoch, e.at
FROM payout_orders po JOIN effects e ON e.book = po.book AND e.payout_id = po.payout_id
WHERE po.book = $1 AND po.order_id = $2
ORDER BY 1

-- name: results_of
-- Everything said about these effects.
SELECT effect_id, n, result, applied, code, far_ref, amount_fen, detail, exchanges, at
FROM effect_results WHERE book = $1 AND effect_id = ANY ($2::bigint[]) ORDER BY effect_id, n

-- name: receipt
-- An order's signed receipt.
SELECT document FROM receipts WHERE book = $1 AND order_id = $2

-- name: last_seq
-- The newest event's number.
SELECT coalesce(max(seq), 0) FROM events WHERE book = $1

-- name: events_of_client
-- Events of a client's orders in a stretch of the log.
SELECT e.seq, e.action, e.order_id, e.at, e.body
FROM events e JOIN orders o ON o.book = e.book AND o.id = e.order_id
WHERE e.book = $1 AND o.client = $2 AND e.seq > $3 AND e.seq <= $4
ORDER BY e.seq LIMIT $5
