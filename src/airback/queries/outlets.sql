-- name: depth
-- The book of open demands by price: how much is wanted at each, by how many, and how much of it by outlet $3.
SELECT carrier, price_ppm, count(*) AS bids, count(DISTINCT outlet) AS outlets, sum(open_fen)::bigint AS open_fen,
       coalesce(sum(open_fen) FILTER (WHERE outlet = $3), 0)::bigint AS own_fen
FROM open_demands WHERE book = $1 AND deadline_at > $2
GROUP BY carrier, price_ppm ORDER BY carrier, price_ppm DESC

-- name: last_fills
-- The last fills, newest first; $3 an outlet's only.
SELECT f.id, f.order_id, o.carrier, o.product, f.outlet, f.face_fen, f.price_ppm, f.pays_fen, f.state, f.created_at
FROM fills f JOIN orders o ON o.book = f.book AND o.id = f.order_id
WHERE f.book = $1 AND ($3::text IS NULL OR f.outlet = $3) ORDER BY f.id DESC LIMIT $2

-- name: money
-- An outlet's deposit, what is earmarked of it, and what was lent to it; beside them the operator's own cash.
SELECT coalesce(sum(credits_posted - debits_posted) FILTER (WHERE code = 'deposit:' || $2::text), 0)::bigint AS deposit_fen,
       coalesce(sum(debits_pending) FILTER (WHERE code = 'deposit:' || $2::text), 0)::bigint AS earmarked_fen,
       coalesce(sum(debits_posted - credits_posted) FILTER (WHERE code = 'receivable:' || $2::text), 0)::bigint AS line_fen,
       coalesce(sum(debits_posted - credits_posted) FILTER (WHERE code = 'cash:own'), 0)::bigint AS operator_fen
FROM accounts
WHERE book = $1 AND asset = 'CNY' AND code IN ('deposit:' || $2::text, 'receivable:' || $2::text, 'cash:own')

-- name: outlet
SELECT outlet, name, house, created_at FROM outlets WHERE book = $1 AND outlet = $2

-- name: notices
-- The last notices to an outlet, newest first, with what became of the last try of each.
SELECT e.id, e.ref, e.at, e.send_by, e.order_id, last.result, last.code, last.at AS tried_at, coalesce(last.n + 1, 0) AS tries,
       x.ask_at, last.detail
FROM effects e
LEFT JOIN open_effects x ON x.book = e.book AND x.effect_id = e.id
LEFT JOIN LATERAL (SELECT r.result, r.code, r.at, r.n, r.detail FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id ORDER BY r.n DESC LIMIT 1) last ON true
WHERE e.book = $1 AND e.far_side = $2 ORDER BY e.at DESC, e.id DESC LIMIT $3
