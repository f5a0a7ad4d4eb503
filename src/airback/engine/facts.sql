-- Reads of a batch: one query per table, whatever its size. `OFFSET 0` keeps the planner from turning look-ups by key
-- into a loop over a table that has no statistics yet.

-- name: due_people
-- Open work of people that is due, oldest first.
SELECT order_id, seller FROM work
WHERE book = $1 AND lane = 0 AND due_at <= $2
ORDER BY due_at, order_id LIMIT $3

-- name: due_files
-- Open work of files that is due: a share of each seller's, sellers in turn from $3 on. A seller without due work has
-- one row without an order, so that the next page begins behind it.
WITH RECURSIVE sellers AS (
    (SELECT seller, 1 AS n FROM work WHERE book = $1 AND lane = 1 AND seller > $3 ORDER BY seller LIMIT 1)
    UNION ALL
    (SELECT next.seller, sellers.n + 1 FROM sellers
     CROSS JOIN LATERAL (SELECT w.seller FROM work w
                         WHERE w.book = $1 AND w.lane = 1 AND w.seller > sellers.seller
                         ORDER BY w.seller LIMIT 1) next
     WHERE sellers.n < $4)
)
SELECT due.order_id, sellers.seller
FROM sellers LEFT JOIN LATERAL (
    SELECT w.order_id, w.due_at FROM work w
    WHERE w.book = $1 AND w.lane = 1 AND w.seller = sellers.seller AND w.due_at <= $2
    ORDER BY w.due_at, w.order_id LIMIT $5) due ON true
ORDER BY sellers.n, due.due_at, due.order_id

-- name: letters
-- The oldest inbox rows, but for those that were set aside.
SELECT id, kind, order_id, ref, body, at FROM inbox
WHERE book = $1 AND aside_at IS NULL AND id <> ALL($3::bigint[]) ORDER BY id LIMIT $2

-- name: orders
-- Orders by id, as the verbs need them.
SELECT id, client, seller, lane, product, carrier, number, card_number, card_code, face_fen, net_fen, quote, first_quote, rail,
       payee, notify_number, language, agreement, state, resume, code, hold_kind, hold_ref, hold_far_ref, held_fen,
       delivered_fen, credited_fen, paid_fen, attempts, cancel, submitted_at, delivered_at, final_at, closed_at, due_at
FROM orders LEFT JOIN LATERAL (
    SELECT due_at FROM work WHERE work.book = $1 AND work.order_id = orders.id OFFSET 0) AS open_work ON true
WHERE book = $1 AND id = ANY($2::bigint[]) ORDER BY id

-- name: orders_of_payouts
-- Every order that some payout pays.
SELECT DISTINCT order_id FROM payout_orders WHERE book = $1 AND payout_id = ANY($2::bigint[])

-- name: fills
-- Fills of orders, oldest first.
SELECT id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, delivered_fen
FROM fills WHERE book = $1 AND order_id = ANY($2::bigint[]) ORDER BY id

-- name: payouts
-- Payouts that pay any of the orders, with every order each of them pays.
SELECT p.id, p.seller, p.rail, p.amount_fen, p.payee, p.state, p.code, p.far_ref, p.created_at, o.order_ids, o.shares
FROM (SELECT DISTINCT payout_id FROM payout_orders WHERE book = $1 AND order_id = ANY($2::bigint[]) OFFSET 0) AS w
CROSS JOIN LATERAL (SELECT * FROM payouts WHERE book = $1 AND id = w.payout_id OFFSET 0) AS p
CROSS JOIN LATERAL (SELECT array_agg(order_id ORDER BY order_id) AS order_ids,
                           array_agg(amount_fen ORDER BY order_id) AS shares
                    FROM payout_orders WHERE book = $1 AND payout_id = w.payout_id) AS o
ORDER BY p.id

-- name: outlets
-- Every outlet of the book.
SELECT outlet FROM outlets WHERE book = $1

-- name: outlet_health
-- Whether outlets take what is sent to them; of those that never had a fill there is no row.
SELECT outlet, state, since, until, rests, probe, probes_taken, window_at, taken, refused, taken_before, refused_before
FROM outlet_health WHERE book = $1

-- name: demands
-- A page of one carrier's open demands, price, then time, from behind ($6, $7) on: of outlets with money, still open
-- at $3, at $5 ppm or more.
SELECT id, outlet, carrier, number, price_ppm, open_fen, deadline_at FROM open_demands
WHERE book = $1 AND carrier = $2 AND deadline_at > $3 AND outlet = ANY($4::text[]) AND price_ppm >= $5
  AND (price_ppm < $6 OR (price_ppm = $6 AND id > $7)) AND price_ppm <= $6
ORDER BY price_ppm DESC, id LIMIT $8

-- name: demands_whole
-- The best demands that can take $6 fen at once.
SELECT id, outlet, carrier, number, price_ppm, open_fen, deadline_at FROM open_demands
WHERE book = $1 AND carrier = $2 AND deadline_at > $3 AND outlet = ANY($4::text[]) AND price_ppm >= $5
  AND open_fen >= $6
ORDER BY price_ppm DESC, id LIMIT $7

-- name: demands_by_id
-- Open demands by id, for parts that are given back.
SELECT id, outlet, carrier, number, price_ppm, open_fen, deadline_at FROM open_demands
WHERE book = $1 AND id = ANY($2::bigint[])

-- name: redeemed
-- Orders whose card may have been redeemed by another effect than the one given for each: sent, and not surely unsent.
SELECT DISTINCT asked.order_id FROM unnest($2::bigint[], $3::bigint[]) AS asked(order_id, effect_id)
CROSS JOIN LATERAL (
    SELECT FROM effects e
    WHERE e.book = $1 AND e.order_id = asked.order_id AND e.id <> asked.effect_id AND e.kind = 'redeem'
      AND NOT EXISTS (SELECT FROM effect_results r WHERE r.book = $1 AND r.effect_id = e.id AND r.applied
                      AND r.result = 'failed' AND r.code IN ('not_sent', 'sending_overdue'))
    OFFSET 0) AS earlier

-- name: accounts
-- Standings of accounts by id.
SELECT id, debits_posted, credits_posted, debits_pending, credits_pending, overdrawn_fen
FROM accounts WHERE book = $1 AND id = ANY($2::bigint[])

-- name: licences
-- Licences by number, for decisions about them.
SELECT number, issuer, capabilities, valid_from, valid_until FROM licences
WHERE book = $1 AND number = ANY($2::text[])

-- name: deliveries
-- Successful deliveries of orders, for their receipts.
SELECT e.order_id, e.fill_id, e.kind, coalesce(r.amount_fen, e.amount_fen) AS amount_fen, r.far_ref, r.detail, r.at
FROM effects e
CROSS JOIN LATERAL (SELECT * FROM effect_results WHERE book = $1 AND effect_id = e.id AND applied
                    AND result = 'succeeded' OFFSET 0) AS r
WHERE e.book = $1 AND e.order_id = ANY($2::bigint[]) AND e.kind IN ('transfer', 'redeem', 'hold')
ORDER BY r.at, e.id

-- name: leaves
-- Leaves of orders' events, for their receipts.
SELECT order_id, seq, action, at, leaf FROM events WHERE book = $1 AND order_id = ANY($2::bigint[]) ORDER BY seq

-- name: open_effects
-- Effects without a final result.
SELECT e.id, e.kind, e.far_side, e.order_id, e.fill_id, e.payout_id, e.ref, e.amount_fen, e.request, e.send_by, e.at,
       o.result, o.asks, o.ask_at,
       coalesce((SELECT max(r.n) + 1 FROM effect_results r WHERE r.book = $1 AND r.effect_id = e.id), 0) AS n,
       ord.hold_kind, ord.lane
FROM open_effects o
CROSS JOIN LATERAL (SELECT * FROM effects WHERE book = $1 AND id = o.effect_id OFFSET 0) AS e
LEFT JOIN LATERAL (SELECT hold_kind, lane FROM orders WHERE book = $1 AND id = e.order_id OFFSET 0) AS ord ON true
WHERE o.book = $1
ORDER BY e.id

-- name: effects_by_ref
-- Effects by reference, with where they stand.
SELECT e.id, e.kind, e.far_side, e.order_id, e.fill_id, e.payout_id, e.ref, e.amount_fen, e.request, e.send_by, e.at,
       coalesce(last.result, 'journalled') AS result, 0 AS asks, NULL::timestamptz AS ask_at,
       coalesce((SELECT max(r.n) + 1 FROM effect_results r WHERE r.book = $1 AND r.effect_id = e.id), 0) AS n,
       ord.hold_kind, ord.lane
FROM effects e
LEFT JOIN LATERAL (SELECT hold_kind, lane FROM orders WHERE book = $1 AND id = e.order_id OFFSET 0) AS ord ON true
LEFT JOIN LATERAL (SELECT r.result FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) last ON true
WHERE e.book = $1 AND e.ref = ANY($2::text[])
ORDER BY e.id

-- name: corrections
-- Corrections by id, open or settled.
SELECT id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at, recovered_fen, written_off_fen, closed_at
FROM corrections WHERE book = $1 AND id = ANY($2::bigint[])

-- name: returned_payments
-- Corrections of orders that wait until their seller is paid again.
SELECT id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at, recovered_fen, written_off_fen, closed_at
FROM corrections WHERE book = $1 AND order_id = ANY($2::bigint[]) AND kind = 'payment_returned' AND closed_at IS NULL

-- name: open_breaks
-- Breaks that somebody decided on, as far as they are still open.
SELECT id, far_side, kind, explanation, left_fen FROM breaks WHERE book = $1 AND id = ANY($2::bigint[]) AND state = 'open'
