-- The auditor's own reading: whole tables, no sums made by the database.

-- name: orders
SELECT id, product, carrier, state, code, resume, cancel, face_fen, net_fen, quote, first_quote, held_fen, delivered_fen, credited_fen, paid_fen, hold_kind, hold_ref
FROM orders WHERE book = $1 ORDER BY id

-- name: fills
SELECT id, order_id, outlet, number, face_fen, pays_fen, state, delivered_fen FROM fills WHERE book = $1 ORDER BY id

-- name: effects
SELECT id, kind, far_side, order_id, fill_id, payout_id, ref, amount_fen FROM effects WHERE book = $1 ORDER BY id

-- name: results
SELECT effect_id, n, result, applied, code, amount_fen FROM effect_results WHERE book = $1 ORDER BY effect_id, n

-- name: open_effects
SELECT effect_id, ask_at FROM open_effects WHERE book = $1

-- name: payouts
SELECT id, amount_fen, state FROM payouts WHERE book = $1

-- name: payout_orders
SELECT payout_id, order_id, amount_fen FROM payout_orders WHERE book = $1

-- name: transfers
SELECT subject, kind, leg, phase, asset, debit, credit, amount_fen FROM transfers WHERE book = $1

-- name: accounts
SELECT id, code, asset, side, bounded, debits_posted, credits_posted, debits_pending, credits_pending, overdrawn_fen
FROM accounts WHERE book = $1

-- name: events
SELECT seq, action, order_id, salt, body, leaf FROM events WHERE book = $1 ORDER BY seq

-- name: work
SELECT order_id, due_at FROM work WHERE book = $1

-- name: alarms
SELECT kind, subject, detail FROM alarms WHERE book = $1 AND closed_at IS NULL

-- name: inbox
SELECT count(*) FROM inbox WHERE book = $1


-- name: corrections
SELECT order_id, effect_id, kind, amount_fen FROM corrections WHERE book = $1

-- name: breaks
SELECT reference, explanation, state FROM breaks WHERE book = $1
