-- name: book_now
-- The book's switches and whether somebody writes it.
SELECT b.name, b.epoch, b.sending, b.routing, b.pause_reason, w.worker, w.seen_at
FROM books b LEFT JOIN writers w ON w.book = b.book
WHERE b.book = $1

-- name: open_orders
-- Orders that are not at their end, by state. Only the small table of open work is read and joined.
SELECT o.state, count(*) AS orders, sum(o.face_fen)::bigint AS face_fen, min(w.due_at) AS due_at
FROM work w JOIN orders o ON o.book = w.book AND o.id = w.order_id
WHERE w.book = $1 GROUP BY o.state

-- name: recent_orders
-- Orders accepted since an id (ids grow with time), by state.
SELECT state, count(*) AS orders, sum(face_fen)::bigint AS face_fen, sum(paid_fen)::bigint AS paid_fen
FROM orders WHERE book = $1 AND id >= $2 GROUP BY state

-- name: open_alarms
SELECT id, kind, subject, detail, owner, due_at, opened_at
FROM alarms WHERE book = $1 AND closed_at IS NULL ORDER BY due_at, id LIMIT $2

-- name: count_open_alarms
SELECT count(*) FROM alarms WHERE book = $1 AND closed_at IS NULL

-- name: count_open_effects
-- Effects without a final result, by far side, kind and what is known.
SELECT e.far_side, e.kind, x.result, count(*) AS effects, sum(e.amount_fen)::bigint AS amount_fen, min(e.at) AS since
FROM open_effects x JOIN effects e ON e.book = x.book AND e.id = x.effect_id
WHERE x.book = $1 GROUP BY e.far_side, e.kind, x.result ORDER BY e.far_side, e.kind, x.result

-- name: open_effects
-- The oldest first, after a cursor.
SELECT e.id, e.kind, e.far_side, e.order_id, e.payout_id, e.ref, e.amount_fen, e.send_by, e.at,
       x.result, x.asks, x.ask_at
FROM open_effects x JOIN effects e ON e.book = x.book AND e.id = x.effect_id
WHERE x.book = $1 AND ($2::text IS NULL OR x.result = $2) AND ($3::bigint IS NULL OR x.effect_id > $3)
ORDER BY x.effect_id LIMIT $4

-- name: effect_by_ref
SELECT e.id, e.kind, e.far_side, e.order_id, e.payout_id, e.ref, e.amount_fen, e.send_by, e.at,
       x.result, x.asks, x.ask_at
FROM effects e JOIN open_effects x ON x.book = e.book AND x.effect_id = e.id
WHERE e.book = $1 AND e.ref = $2

-- name: orders_in_review
-- Orders that wait for two people, the oldest first; or the one whose id is given, if it has not ended.
SELECT o.id, o.state, o.code, o.resume, o.face_fen, o.held_fen, o.delivered_fen, o.credited_fen, o.paid_fen
FROM work w JOIN orders o ON o.book = w.book AND o.id = w.order_id
WHERE w.book = $1 AND CASE WHEN $2::bigint IS NULL THEN o.state = 'in_review' ELSE w.order_id = $2 END
ORDER BY o.id LIMIT $3

-- name: corrections
-- Open corrections, the oldest first, then the settled ones, the last first; or the one whose id is given.
SELECT c.id, c.order_id, c.effect_id, c.kind, c.bearer, c.amount_fen, c.claim_fen, c.opened_at, c.recovered_fen,
       c.written_off_fen, c.closed_at, e.far_side, e.ref
FROM corrections c JOIN effects e ON e.book = c.book AND e.id = c.effect_id
WHERE c.book = $1 AND ($2::bigint IS NULL OR c.id = $2) AND (NOT $3 OR c.closed_at IS NULL)
ORDER BY c.closed_at DESC NULLS FIRST, c.opened_at, c.id LIMIT $4

-- name: count_open_corrections
SELECT count(*) FROM corrections WHERE book = $1 AND closed_at IS NULL

-- name: effect_place
-- The order an effect belongs to, by the effect's reference, open or not.
SELECT e.order_id, e.payout_id,
       (SELECT min(p.order_id) FROM payout_orders p WHERE p.book = $1 AND p.payout_id = e.payout_id) AS paid_order
FROM effects e WHERE e.book = $1 AND e.ref = $2

-- name: payout_place
SELECT min(order_id) FROM payout_orders WHERE book = $1 AND payout_id = $2

-- name: fill_place
SELECT order_id FROM fills WHERE book = $1 AND id = $2

-- name: money
-- CNY balances summed over each kind of account; positive on the account's own side.
SELECT split_part(code, ':', 1) AS kind, side, count(*) AS accounts,
       sum(CASE side WHEN 'credit' THEN credits_posted - debits_posted ELSE debits_posted - credits_posted END)::bigint
           AS balance_fen,
       sum(CASE side WHEN 'credit' THEN debits_pending ELSE credits_pending END)::bigint AS earmarked_fen,
       sum(overdrawn_fen)::bigint AS overdrawn_fen
FROM accounts WHERE book = $1 AND asset = 'CNY'
GROUP BY 1, 2 ORDER BY 1, 2

-- name: safeguarded
SELECT coalesce(sum(debits_posted - credits_posted), 0)::bigint
FROM accounts WHERE book = $1 AND code = 'cash:safeguarded' AND asset = 'CNY'

-- name: accounts
-- Accounts by code, below a cursor; $2 is the beginning of a code.
SELECT id, code, asset, side, bounded,
       CASE side WHEN 'credit' THEN credits_posted - debits_posted ELSE debits_posted - credits_posted END AS balance_fen,
       CASE side WHEN 'credit' THEN debits_pending ELSE credits_pending END AS earmarked_fen,
       overdrawn_fen
FROM accounts
WHERE book = $1 AND starts_with(code, $2) AND ($3::text IS NULL OR (code, asset) > ($3, $4))
ORDER BY code, asset LIMIT $5

-- name: account_balance
SELECT CASE side WHEN 'credit' THEN credits_posted - debits_posted ELSE debits_posted - credits_posted END
FROM accounts WHERE book = $1 AND code = $2 AND asset = 'CNY'

-- name: outlets
-- Outlets with their deposit, what is earmarked of it, and their open demands.
SELECT o.outlet, o.name, o.house, o.created_at,
       coalesce(a.credits_posted - a.debits_posted, 0) AS deposit_fen,
       coalesce(a.debits_pending, 0) AS earmarked_fen,
       coalesce(a.overdrawn_fen, 0) AS overdrawn_fen,
       coalesce(d.demands, 0) AS demands, coalesce(d.open_fen, 0)::bigint AS open_fen, d.best_ppm,
       h.state AS health, h.until AS resting_until
FROM outlets o
LEFT JOIN outlet_health h ON h.book = o.book AND h.outlet = o.outlet
LEFT JOIN accounts a ON a.book = o.book AND a.code = 'deposit:' || o.outlet AND a.asset = 'CNY'
LEFT JOIN (
    SELECT outlet, count(*) AS demands, sum(open_fen) AS open_fen, max(price_ppm) AS best_ppm
    FROM open_demands WHERE book = $1 GROUP BY outlet
) d ON d.outlet = o.outlet
WHERE o.book = $1 ORDER BY o.house DESC, o.outlet

-- name: demand_book
-- What the market wants, by carrier.
SELECT carrier, count(*) AS demands, sum(open_fen)::bigint AS open_fen, max(price_ppm) AS best_ppm,
       min(price_ppm) AS least_ppm, count(DISTINCT outlet) AS outlets, min(deadline_at) AS next_deadline
FROM open_demands WHERE book = $1 GROUP BY carrier ORDER BY carrier

-- name: rate_cards
-- Published versions, with the proposal each came from: why it was asked for, and why it was approved.
SELECT c.version, c.document, c.effective_at, c.proposed_by, c.approved_by, c.created_at, c.proposal, p.subject, p.reason,
       p.decision_reason
FROM rate_cards c LEFT JOIN proposals p ON p.book = c.book AND p.id = c.proposal
WHERE c.book = $1 AND ($3::integer IS NULL OR c.version = $3) ORDER BY c.version DESC LIMIT $2

-- name: order_transfers
-- The ledger transfers of one order, in order of time, with both accounts' codes.
SELECT t.subject, t.kind, t.leg, t.phase, t.asset, d.code AS debit, c.code AS credit, t.amount_fen,
       t.event_at, t.created_at
FROM transfers t
JOIN accounts d ON d.book = t.book AND d.id = t.debit
JOIN accounts c ON c.book = t.book AND c.id = t.credit
WHERE t.book = $1 AND t.order_id = $2
ORDER BY t.created_at, t.subject, t.kind, t.leg, t.phase

-- name: order_due
SELECT due_at FROM work WHERE book = $1 AND order_id = $2

-- name: order_open_effects
-- Effects of an order, and of its payouts, that have no final result.
SELECT e.id, e.kind, e.far_side, e.order_id, e.payout_id, e.ref, e.amount_fen, e.send_by, e.at,
       x.result, x.asks, x.ask_at
FROM effects e JOIN open_effects x ON x.book = e.book AND x.effect_id = e.id
WHERE e.book = $1 AND (e.order_id = $2 OR e.payout_id IN (
    SELECT payout_id FROM payout_orders WHERE book = $1 AND order_id = $2))
ORDER BY e.id
