-- One batch's decisions, each table in one statement. All run in one transaction that begins with the fence.
--
-- Rows are found by `CROSS JOIN LATERAL (SELECT ctid … OFFSET 0)`: whatever the planner believes of a table that has no
-- statistics yet, each is one look-up in an index, never a loop over the whole table for each of them.

-- name: fence
-- The book's epoch and switches, locked against a take-over until this transaction ends.
SELECT epoch, routing, sending FROM books WHERE book = $1 FOR SHARE

-- name: update_orders
-- Orders in place, guarded by nothing but the fence: the book has one writer. A quote is given where it is a new one.
UPDATE orders o SET
    state = v.state, resume = v.resume, code = v.code, quote = coalesce(v.quote::jsonb, o.quote),
    first_quote = coalesce(v.first_quote::jsonb, o.first_quote), net_fen = v.net_fen, rail = v.rail,
    payee = v.payee, card_code = CASE WHEN v.card_spent THEN NULL ELSE o.card_code END,
    hold_ref = v.hold_ref, hold_far_ref = v.hold_far_ref, held_fen = v.held_fen, delivered_fen = v.delivered_fen,
    credited_fen = v.credited_fen, paid_fen = v.paid_fen, attempts = v.attempts, cancel = v.cancel,
    delivered_at = v.delivered_at, final_at = v.final_at, closed_at = v.closed_at, updated_at = $2
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::bytea[],
            $11::boolean[], $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[],
            $18::smallint[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::timestamptz[], $23::text[])
     AS v(id, state, resume, code, quote, net_fen, rail, payee, card_spent, hold_ref, hold_far_ref, held_fen,
          delivered_fen, credited_fen, paid_fen, attempts, cancel, delivered_at, final_at, closed_at, first_quote)
CROSS JOIN LATERAL (SELECT ctid FROM orders WHERE book = $1 AND id = v.id OFFSET 0) AS at
WHERE o.book = $1 AND o.ctid = at.ctid

-- name: update_work
-- When to look again.
UPDATE work w SET due_at = v.due_at
FROM unnest($2::bigint[], $3::timestamptz[]) AS v(id, due_at)
CROSS JOIN LATERAL (SELECT ctid FROM work WHERE book = $1 AND order_id = v.id OFFSET 0) AS at
WHERE w.book = $1 AND w.ctid = at.ctid

-- name: delete_work
-- Orders that have ended.
DELETE FROM work WHERE book = $1 AND order_id = ANY($2::bigint[])

-- name: keep_claims
-- Claims of orders that go on, for ever.
UPDATE claims c SET expires_at = NULL
FROM unnest($2::bigint[]) AS v(id)
CROSS JOIN LATERAL (SELECT ctid FROM claims WHERE book = $1 AND order_id = v.id AND kind = 'card' OFFSET 0) AS at
WHERE c.book = $1 AND c.ctid = at.ctid

-- name: free_claims
-- Claims of orders that ended unharmed.
DELETE FROM claims WHERE book = $1 AND kind = 'card' AND order_id = ANY($2::bigint[])

-- name: insert_fills
INSERT INTO fills (book, created_at, id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, delivered_fen,
                   routed)
SELECT $1, $2, v.id, v.order_id, v.demand_id, v.outlet, v.number, v.face_fen, v.price_ppm, v.pays_fen, v.state, v.delivered_fen,
       v.routed::jsonb
FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::integer[], $10::bigint[],
            $11::text[], $12::bigint[], $13::text[])
     AS v(id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, delivered_fen, routed)

-- name: update_fills
UPDATE fills f SET state = v.state, delivered_fen = v.delivered_fen, pays_fen = v.pays_fen
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[]) AS v(id, state, delivered_fen, pays_fen)
CROSS JOIN LATERAL (SELECT ctid FROM fills WHERE book = $1 AND id = v.id OFFSET 0) AS at
WHERE f.book = $1 AND f.ctid = at.ctid

-- name: close_demands
-- Demands that are filled or withdrawn leave the book of open ones.
DELETE FROM open_demands WHERE book = $1 AND id = ANY($2::bigint[])

-- name: withdraw_demands
-- Taken back by their outlets: nothing of them is wanted again, whatever becomes of their fills.
UPDATE demands SET withdrawn_at = $3 WHERE book = $1 AND id = ANY($2::bigint[]) AND withdrawn_at IS NULL

-- name: set_demands
-- What is still wanted of demands; one that had left comes back, unless it was withdrawn.
INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
SELECT d.book, d.id, d.outlet, d.carrier, d.number, d.price_ppm, v.open_fen, d.deadline_at
FROM unnest($2::bigint[], $3::bigint[]) AS v(id, open_fen)
CROSS JOIN LATERAL (SELECT * FROM demands WHERE book = $1 AND id = v.id OFFSET 0) AS d
WHERE d.withdrawn_at IS NULL
ON CONFLICT (book, id) DO UPDATE SET open_fen = EXCLUDED.open_fen

-- name: expire_demands
-- Demands whose deadline has passed.
DELETE FROM open_demands WHERE book = $1 AND deadline_at <= $2

-- name: set_outlet_health
-- Outlets' health, guarded by nothing but the fence.
INSERT INTO outlet_health (book, outlet, state, since, until, rests, probe, probes_taken, window_at, taken, refused, taken_before,
                           refused_before)
SELECT $1, v.* FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::integer[], $7::bigint[],
    $8::integer[], $9::timestamptz[], $10::integer[], $11::integer[], $12::integer[], $13::integer[]) AS v
ON CONFLICT (book, outlet) DO UPDATE SET
    state = EXCLUDED.state, since = EXCLUDED.since, until = EXCLUDED.until, rests = EXCLUDED.rests,
    probe = EXCLUDED.probe, probes_taken = EXCLUDED.probes_taken, window_at = EXCLUDED.window_at,
    taken = EXCLUDED.taken, refused = EXCLUDED.refused, taken_before = EXCLUDED.taken_before,
    refused_before = EXCLUDED.refused_before

-- name: insert_effects
INSERT INTO effects (book, epoch, at, id, kind, far_side, order_id, fill_id, payout_id, ref, amount_fen, request, send_by)
SELECT $1, $2, $3, v.* FROM unnest($4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::text[], $11::bigint[], $12::bytea[], $13::timestamptz[]) AS v

-- name: insert_open_effects
INSERT INTO open_effects (book, epoch, effect_id, result, asks, ask_at)
SELECT $1, $2, v.* FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::timestamptz[]) AS v

-- name: update_open_effects
UPDATE open_effects o SET result = v.result, asks = v.asks, ask_at = v.ask_at, epoch = $2
FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::timestamptz[]) AS v(id, result, asks, ask_at)
CROSS JOIN LATERAL (SELECT ctid FROM open_effects WHERE book = $1 AND effect_id = v.id OFFSET 0) AS at
WHERE o.book = $1 AND o.ctid = at.ctid

-- name: delete_open_effects
DELETE FROM open_effects WHERE book = $1 AND effect_id = ANY($2::bigint[])

-- name: insert_results
INSERT INTO effect_results (book, at, effect_id, n, result, applied, code, far_ref, amount_fen, detail, exchanges)
SELECT $1, $2, v.id, v.n, v.result, v.applied, v.code, v.far_ref, v.amount_fen, v.detail::jsonb, v.exchanges::jsonb
FROM unnest($3::bigint[], $4::smallint[], $5::text[], $6::boolean[], $7::text[], $8::text[], $9::bigint[], $10::text[],
    $11::text[]) AS v(id, n, result, applied, code, far_ref, amount_fen, detail, exchanges)

-- name: insert_payouts
INSERT INTO payouts (book, created_at, updated_at, id, seller, rail, amount_fen, payee, state, code, far_ref)
SELECT $1, $2, $2, v.* FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bytea[], $8::text[],
    $9::text[], $10::text[]) AS v

-- name: insert_payout_orders
INSERT INTO payout_orders (book, payout_id, order_id, amount_fen)
SELECT $1, v.* FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS v

-- name: update_payouts
UPDATE payouts p SET state = v.state, code = v.code, far_ref = v.far_ref, updated_at = $2
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) AS v(id, state, code, far_ref)
CROSS JOIN LATERAL (SELECT ctid FROM payouts WHERE book = $1 AND id = v.id OFFSET 0) AS at
WHERE p.book = $1 AND p.ctid = at.ctid

-- name: insert_transfers
INSERT INTO transfers (book, event_at, created_at, subject, kind, leg, phase, asset, debit, credit, amount_fen, order_id)
SELECT $1, $2, $2, v.* FROM unnest($3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::bigint[],
    $9::bigint[], $10::bigint[], $11::bigint[]) AS v

-- name: insert_accounts
-- Accounts that a batch touches for the first time.
INSERT INTO accounts (book, id, code, asset, side, bounded)
SELECT $1, v.* FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::boolean[]) AS v
ON CONFLICT (book, id) DO NOTHING

-- name: update_accounts
UPDATE accounts a SET
    debits_posted = a.debits_posted + v.debits_posted, credits_posted = a.credits_posted + v.credits_posted,
    debits_pending = a.debits_pending + v.debits_pending, credits_pending = a.credits_pending + v.credits_pending,
    overdrawn_fen = a.overdrawn_fen + v.overdrawn_fen
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
     AS v(id, debits_posted, credits_posted, debits_pending, credits_pending, overdrawn_fen)
CROSS JOIN LATERAL (SELECT ctid FROM accounts WHERE book = $1 AND id = v.id OFFSET 0) AS at
WHERE a.book = $1 AND a.ctid = at.ctid

-- name: insert_events
INSERT INTO events (book, at, seq, action, order_id, salt, body, leaf)
SELECT $1, $2, v.* FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[], $8::bytea[]) AS v

-- name: insert_receipts
INSERT INTO receipts (book, at, order_id, document)
SELECT $1, $2, v.id, v.document::jsonb FROM unnest($3::bigint[], $4::text[]) AS v(id, document)

-- name: insert_corrections
INSERT INTO corrections (book, opened_at, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen)
SELECT $1, $2, v.* FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[]) AS v

-- name: settle_corrections
-- What was made good of corrections; guarded by nothing but the fence.
UPDATE corrections c SET recovered_fen = v.recovered_fen, written_off_fen = v.written_off_fen, closed_at = v.closed_at
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[]) AS v(id, recovered_fen, written_off_fen, closed_at)
CROSS JOIN LATERAL (SELECT ctid FROM corrections WHERE book = $1 AND id = v.id OFFSET 0) AS at
WHERE c.book = $1 AND c.ctid = at.ctid

-- name: insert_alarms
INSERT INTO alarms (book, opened_at, id, kind, subject, detail, due_at)
SELECT $1, $2, v.id, v.kind, v.subject, v.detail::jsonb, v.due_at
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[]) AS v(id, kind, subject, detail, due_at)
ON CONFLICT (book, kind, subject) WHERE closed_at IS NULL DO NOTHING

-- name: close_alarms
-- Alarms whose work is done.
UPDATE alarms a SET closed_at = $2 FROM unnest($3::text[], $4::text[]) AS v(kind, subject)
CROSS JOIN LATERAL (SELECT ctid FROM alarms WHERE book = $1 AND kind = v.kind AND subject = v.subject
                    AND closed_at IS NULL OFFSET 0) AS at
WHERE a.book = $1 AND a.ctid = at.ctid

-- name: delete_letters
DELETE FROM inbox WHERE book = $1 AND id = ANY($2::bigint[])

-- name: set_letter_aside
-- A letter that cannot be folded stays where it is, for a person.
UPDATE inbox SET aside_at = $3 WHERE book = $1 AND id = $2

-- name: set_routing
UPDATE books SET routing = $2, pause_reason = $3, sending = sending OR $2,
                 restored_at = CASE WHEN NOT $2 THEN restored_at END, awaited_from = CASE WHEN NOT $2 THEN awaited_from END
WHERE book = $1

-- name: insert_rate_card
INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at, proposal)
SELECT $1, coalesce(max(version), 0) + 1, jsonb_set($2, '{version}', to_jsonb(coalesce(max(version), 0) + 1)), $3, $4, $5, $6, $7
FROM rate_cards WHERE book = $1

-- name: insert_agreement
INSERT INTO split_agreements (book, version, scope, document, effective_at, proposed_by, approved_by, created_at)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7 FROM split_agreements WHERE book = $1

-- name: insert_booking
INSERT INTO operating_bookings (book, id, line, carrier, amount_fen, period_from, period_to, source, proposed_by, approved_by, booked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: insert_licence
INSERT INTO licences (book, number, issuer, capabilities, valid_from, valid_until, recorded_by)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (book, number) DO UPDATE SET
    issuer = EXCLUDED.issuer, capabilities = EXCLUDED.capabilities, valid_from = EXCLUDED.valid_from,
    valid_until = EXCLUDED.valid_until, recorded_by = EXCLUDED.recorded_by

-- name: resolve_breaks
-- Close breaks whose correction this batch posts. By key: an import may change a break at the same moment, and a join on
-- `ctid` would then skip it.
UPDATE breaks b SET state = 'corrected', closed_at = $2, correction = r.correction, resolved_by = r.proposal
FROM unnest($3::bigint[], $4::text[], $5::text[]) AS r (id, correction, proposal)
WHERE b.book = $1 AND b.id = r.id AND b.state = 'open'
