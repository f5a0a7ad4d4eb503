-- Statements and breaks.

-- name: find_statement
-- The statement of one far side and day.
SELECT id, sha256, rows, matched, quarantined, layout, totals_checked, imported_at
FROM statements WHERE book = $1 AND far_side = $2 AND day = $3

-- name: insert_statement
-- One statement for each far side and day.
INSERT INTO statements (book, id, far_side, day, layout, sha256, rows, out_fen, in_fen, fee_fen, matched, quarantined,
                        totals_checked, imported_by, imported_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT DO NOTHING RETURNING id

-- name: executed_since
-- What we hold a far side to have executed, by when we learned of it; open effects have no time yet. Reservations that
-- are the carrier's own are on no statement.
SELECT e.ref, e.kind, coalesce(r.amount_fen, e.amount_fen) AS amount_fen, r.far_ref, coalesce(r.result, 'open') AS result,
       coalesce(r.at, e.at) AS at
FROM effects e
LEFT JOIN orders o ON o.book = e.book AND o.id = e.order_id
LEFT JOIN LATERAL (SELECT result, amount_fen, far_ref, at FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) r ON true
WHERE e.book = $1 AND e.far_side = $2 AND e.at >= $3 AND e.at < $4
  AND (e.kind IN ('transfer', 'redeem', 'pay') OR e.kind IN ('hold', 'release') AND o.hold_kind = 'custody')

-- name: executed_refs
-- The same for given references, whenever they were.
SELECT e.ref, e.kind, coalesce(r.amount_fen, e.amount_fen) AS amount_fen, r.far_ref, coalesce(r.result, 'open') AS result,
       coalesce(r.at, e.at) AS at
FROM effects e
LEFT JOIN LATERAL (SELECT result, amount_fen, far_ref, at FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) r ON true
WHERE e.book = $1 AND e.far_side = $2 AND e.ref = ANY($3::text[])

-- name: filled_since
-- Fills of one outlet with an id in [$3, $4), what the outlet pays for each, and how its delivery stands.
SELECT f.id, f.state, f.pays_fen, f.created_at, r.result, r.at
FROM fills f
LEFT JOIN LATERAL (SELECT r.result, r.at FROM effects e, effect_results r
                   WHERE e.book = $1 AND e.order_id = f.order_id AND e.fill_id = f.id AND e.kind IN ('transfer', 'redeem')
                     AND r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY e.id DESC, r.n DESC LIMIT 1) r ON true
WHERE f.book = $1 AND f.outlet = $2 AND f.id >= $3 AND f.id < $4

-- name: fills_by_id
-- The same for given fills, whenever they were.
SELECT f.id, f.state, f.pays_fen, f.created_at, r.result, r.at
FROM fills f
LEFT JOIN LATERAL (SELECT r.result, r.at FROM effects e, effect_results r
                   WHERE e.book = $1 AND e.order_id = f.order_id AND e.fill_id = f.id AND e.kind IN ('transfer', 'redeem')
                     AND r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY e.id DESC, r.n DESC LIMIT 1) r ON true
WHERE f.book = $1 AND f.outlet = $2 AND f.id = ANY($3::bigint[])

-- name: known_references
-- References of a far side that some earlier statement has already dealt with.
SELECT reference FROM breaks WHERE book = $1 AND far_side = $2 AND reference = ANY($3::text[])

-- name: statement_days
-- Days of a far side's statements that are in.
SELECT day FROM statements WHERE book = $1 AND far_side = $2
  AND day >= ($3::timestamptz AT TIME ZONE 'Asia/Shanghai')::date AND day < ($4::timestamptz AT TIME ZONE 'Asia/Shanghai')::date

-- name: unstated
-- The first statement that a restored book awaits, if any: of each far side it ever sent to, or that an open order of its
-- will need, one for each day from its backup to its restore. Far sides that were sent to are found by jumping from one to
-- the next in an index; our own credit has no statement.
WITH RECURSIVE sides AS (
    (SELECT far_side FROM effects WHERE book = $1 ORDER BY far_side LIMIT 1)
    UNION ALL
    SELECT (SELECT e.far_side FROM effects e WHERE e.book = $1 AND e.far_side > s.far_side ORDER BY e.far_side LIMIT 1)
    FROM sides s WHERE s.far_side IS NOT NULL
), needed AS (
    SELECT far_side FROM sides WHERE far_side LIKE 'carrier:%' OR far_side LIKE 'rail:%'
    UNION
    SELECT unnest(ARRAY['carrier:' || o.carrier, 'rail:' || o.rail])
    FROM work w JOIN orders o ON o.book = $1 AND o.id = w.order_id WHERE w.book = $1
), span AS (
    SELECT awaited_from AS first, (restored_at AT TIME ZONE 'Asia/Shanghai')::date AS last
    FROM books WHERE book = $1 AND NOT sending AND restored_at IS NOT NULL
)
SELECT s.far_side, span.first + n AS day
FROM span CROSS JOIN needed s CROSS JOIN generate_series(0, span.last - span.first) AS n
WHERE s.far_side <> 'rail:credit'
  AND NOT EXISTS (SELECT FROM statements t WHERE t.book = $1 AND t.far_side = s.far_side AND t.day = span.first + n)
ORDER BY day, far_side LIMIT 1

-- name: open_timing
-- Timing breaks that wait for a later statement.
SELECT id, day, reference, (our_amount_fen IS NOT NULL) AS ours FROM breaks
WHERE book = $1 AND far_side = $2 AND explanation = 'timing' AND state = 'open' AND day < $3

-- name: close_matched
-- The other half came.
UPDATE breaks SET state = 'matched', closed_at = $2 WHERE book = $1 AND id = ANY($3::bigint[]) AND state = 'open'

-- name: rename_breaks
-- The next day's statement came without the other half: it was no matter of timing.
UPDATE breaks b SET explanation = r.explanation, owner = r.owner, due_at = r.due_at
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[]) AS r (id, explanation, owner, due_at)
WHERE b.book = $1 AND b.id = r.id AND b.state = 'open'

-- name: get_break
-- One break.
SELECT id, far_side, day, explanation, state, owner, due_at, confidence_ppm, reference, far_reference, kind, direction,
       our_amount_fen, their_amount_fen, their_fee_fen, left_fen, at, opened_at, closed_at, correction
FROM breaks WHERE book = $1 AND id = $2

-- name: list_breaks
-- Breaks, open ones or all, those due first.
SELECT id, far_side, day, explanation, state, owner, due_at, confidence_ppm, reference, far_reference, kind, direction,
       our_amount_fen, their_amount_fen, their_fee_fen, left_fen, at, opened_at, closed_at, correction
FROM breaks WHERE book = $1 AND (NOT $2 OR state = 'open') AND ($3::text IS NULL OR far_side = $3)
ORDER BY closed_at NULLS FIRST, due_at, id LIMIT $4

-- name: clearing
-- Each clearing account, what its open breaks leave on it, and what no statement has covered yet.
SELECT a.code, a.credits_posted - a.debits_posted AS balance_fen,
       (SELECT count(*) FROM breaks b WHERE b.book = $1 AND b.far_side = 'rail:' || split_part(a.code, ':', 2)
        AND b.state = 'open') AS open_breaks,
       (SELECT coalesce(sum(b.left_fen), 0)::bigint FROM breaks b
        WHERE b.book = $1 AND b.far_side = 'rail:' || split_part(a.code, ':', 2) AND b.state = 'open') AS open_fen,
       (SELECT coalesce(sum(t.amount_fen), 0)::bigint FROM transfers t
        WHERE t.book = $1 AND t.kind = 'pay' AND t.phase = 'post' AND t.credit = a.id
          AND NOT EXISTS (SELECT 1 FROM statements s WHERE s.book = $1
                          AND s.far_side = 'rail:' || split_part(a.code, ':', 2)
                          AND s.day = (t.event_at AT TIME ZONE 'Asia/Shanghai')::date)
          AND NOT EXISTS (SELECT 1 FROM effects e JOIN breaks b ON b.book = e.book AND b.reference = e.ref
                          WHERE e.book = $1 AND e.payout_id = t.subject AND b.state = 'matched')) AS not_stated_fen,
       (SELECT coalesce(sum((i.body->>'out_fen')::bigint - (i.body->>'in_fen')::bigint
                            + (i.body->>'fee_fen')::bigint), 0)::bigint FROM inbox i
        WHERE i.book = $1 AND i.kind = 'statement'
          AND i.body->>'far_side' = 'rail:' || split_part(a.code, ':', 2)) AS settling_fen
FROM accounts a WHERE a.book = $1 AND a.asset = 'CNY' AND a.code LIKE 'clearing:%' ORDER BY a.code
