-- What the result accounts moved by in a period, by segment. $2 (included) and $3 bound the time of the posting, $4 are
-- the first parts of the accounts' codes, $5 what is divided by, $6 the upper ends of the face bands.

-- name: moved
-- Entries of result accounts by segment; credit positive. A rail's charge that was booked from its statement belongs to
-- the order whose payment it was for, when that payment was for one order. What belongs to no order has no segment.
WITH results AS MATERIALIZED (
    SELECT id, split_part(code, ':', 1) AS account, split_part(code, ':', 2) AS part FROM accounts
    WHERE book = $1 AND asset = 'CNY' AND split_part(code, ':', 1) = ANY($4::text[])
), entry AS (
    SELECT t.order_id, t.subject, t.event_at, t.kind, r.account, r.part, side.amount_fen
    FROM transfers t
    CROSS JOIN LATERAL (VALUES (t.credit, t.amount_fen), (t.debit, -t.amount_fen)) AS side (id, amount_fen)
    JOIN results r ON r.id = side.id
    WHERE t.book = $1 AND t.event_at >= $2 AND t.event_at < $3 AND t.phase IN ('posted', 'post') AND t.asset = 'CNY'
)
SELECT CASE $5::text WHEN 'carrier' THEN coalesce(o.carrier, CASE WHEN e.account = 'rebate' THEN e.part END)
                     WHEN 'product' THEN o.product
                     WHEN 'client' THEN o.client
                     WHEN 'face' THEN width_bucket(o.face_fen - 1, $6::bigint[])::text
                     WHEN 'day' THEN (e.event_at AT TIME ZONE 'Asia/Shanghai')::date::text
       END AS key,
       e.account, e.part, e.kind = 'credit' AS at_credit, sum(e.amount_fen)::bigint AS amount_fen
FROM entry e
LEFT JOIN LATERAL (
    SELECT min(po.order_id) AS id
    FROM breaks b
    JOIN effects x ON x.book = b.book AND x.ref = b.reference
    JOIN payout_orders po ON po.book = x.book AND po.payout_id = x.payout_id
    WHERE b.book = $1 AND b.id = e.subject
    HAVING count(*) = 1) AS charged ON e.kind = 'correct'
LEFT JOIN orders o ON o.book = $1 AND o.id = coalesce(e.order_id, charged.id)
GROUP BY 1, 2, 3, 4

-- name: volume
-- Orders credited in the period, by segment: what was delivered of them and what their sellers net.
SELECT CASE $4::text WHEN 'carrier' THEN o.carrier
                     WHEN 'product' THEN o.product
                     WHEN 'client' THEN o.client
                     WHEN 'face' THEN width_bucket(o.face_fen - 1, $5::bigint[])::text
                     WHEN 'day' THEN (t.event_at AT TIME ZONE 'Asia/Shanghai')::date::text
       END AS key,
       count(*) AS orders, sum(o.delivered_fen)::bigint AS face_fen, sum(t.amount_fen)::bigint AS net_fen
FROM transfers t JOIN orders o ON o.book = t.book AND o.id = t.order_id
WHERE t.book = $1 AND t.event_at >= $2 AND t.event_at < $3 AND t.kind = 'credit' AND t.leg = 1 AND t.phase = 'posted'
GROUP BY 1

-- name: moved_by_outlet
-- The same by outlet. An order's amounts go to its delivered fills by their face, as differences of running totals, so
-- that nothing is lost in rounding; the spread is what each outlet really paid less its part of the gross; a reversal is
-- borne where the reversed fill was.
WITH results AS MATERIALIZED (
    SELECT id, split_part(code, ':', 1) AS account, split_part(code, ':', 2) AS part FROM accounts
    WHERE book = $1 AND asset = 'CNY' AND split_part(code, ':', 1) = ANY($4::text[])
), entry AS (
    SELECT t.order_id, x.fill_id, r.account, r.part, t.kind = 'credit' AS at_credit, sum(side.amount_fen)::bigint AS amount_fen
    FROM transfers t
    CROSS JOIN LATERAL (VALUES (t.credit, t.amount_fen), (t.debit, -t.amount_fen)) AS side (id, amount_fen)
    JOIN results r ON r.id = side.id
    LEFT JOIN corrections c ON t.kind = 'reversal' AND c.book = t.book AND c.id = t.subject
    LEFT JOIN effects x ON x.book = c.book AND x.id = c.effect_id
    WHERE t.book = $1 AND t.event_at >= $2 AND t.event_at < $3 AND t.phase IN ('posted', 'post') AND t.asset = 'CNY'
    GROUP BY 1, 2, 3, 4, 5
), fill AS (
    SELECT id, order_id, outlet, pays_fen, delivered_fen,
           sum(delivered_fen) OVER (PARTITION BY order_id ORDER BY id) AS upto_fen,
           sum(delivered_fen) OVER (PARTITION BY order_id) AS all_fen,
           sum(pays_fen) OVER (PARTITION BY order_id) AS all_pay_fen
    FROM fills WHERE book = $1 AND state = 'delivered' AND delivered_fen > 0
                 AND order_id IN (SELECT order_id FROM entry WHERE order_id IS NOT NULL)
)
SELECT f.outlet AS key, e.account, e.part, e.at_credit,
       sum(CASE WHEN f.id IS NULL OR e.fill_id IS NOT NULL THEN e.amount_fen
                WHEN e.account = 'spread' AND e.at_credit THEN
                     f.pays_fen - (div((f.all_pay_fen - e.amount_fen) * f.upto_fen, f.all_fen)
                                   - div((f.all_pay_fen - e.amount_fen) * (f.upto_fen - f.delivered_fen), f.all_fen))
                ELSE div(e.amount_fen * f.upto_fen, f.all_fen)
                     - div(e.amount_fen * (f.upto_fen - f.delivered_fen), f.all_fen)
           END)::bigint AS amount_fen
FROM entry e LEFT JOIN fill f ON f.order_id = e.order_id AND (e.fill_id IS NULL OR f.id = e.fill_id)
GROUP BY 1, 2, 3, 4

-- name: volume_by_outlet
-- What outlets took of the orders credited in the period, and what they paid for it.
SELECT f.outlet AS key, count(DISTINCT f.order_id) AS orders, sum(f.delivered_fen)::bigint AS face_fen,
       sum(f.pays_fen)::bigint AS proceeds_fen
FROM transfers t JOIN fills f ON f.book = t.book AND f.order_id = t.order_id AND f.state = 'delivered' AND f.delivered_fen > 0
WHERE t.book = $1 AND t.event_at >= $2 AND t.event_at < $3 AND t.kind = 'credit' AND t.leg = 1 AND t.phase = 'posted'
GROUP BY 1

-- name: bookings
-- What was booked by hand in the period, newest first.
SELECT id, line, carrier, amount_fen, period_from, period_to, source, proposed_by, approved_by, booked_at
FROM operating_bookings WHERE book = $1 AND booked_at >= $2 AND booked_at < $3 ORDER BY booked_at DESC, id DESC LIMIT $4

-- name: owed_to_parties
-- What stands on the accounts that money was split to.
SELECT code, credits_posted - debits_posted AS balance_fen FROM accounts
WHERE book = $1 AND asset = 'CNY' AND (starts_with(code, 'party:') OR code IN ('tax_withheld', 'reserve')) ORDER BY code

-- name: agreements
-- Agreements, newest first.
SELECT version, scope, document, effective_at, proposed_by, approved_by, created_at
FROM split_agreements WHERE book = $1 AND ($2::text IS NULL OR scope = $2) ORDER BY version DESC LIMIT $3

-- name: knows_client
-- Whether a client is on record, or has sellers: the operator's own site has no key.
SELECT EXISTS (SELECT FROM clients WHERE book = $1 AND client = $2)
    OR EXISTS (SELECT FROM parties WHERE book = $1 AND client = $2)

-- name: split_of_order
-- What an order's proceeds were split into, in the waterfall's order.
SELECT split_part(d.code, ':', 2) AS kind, c.code AS account, t.amount_fen, t.event_at
FROM transfers t
JOIN accounts d ON d.book = t.book AND d.id = t.debit
JOIN accounts c ON c.book = t.book AND c.id = t.credit
WHERE t.book = $1 AND t.order_id = $2 AND t.kind = 'split' ORDER BY t.leg
