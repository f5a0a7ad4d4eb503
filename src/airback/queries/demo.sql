-- Reads of the demonstration's report and of chaos.

-- name: carriers_wanted
-- How many carriers' airtime is wanted enough to begin.
SELECT count(*) FROM (SELECT carrier FROM open_demands WHERE open_fen >= 30000 GROUP BY carrier HAVING count(*) >= 10) c

-- name: promised
-- How many of these orders are neither final nor with a person: not there at all counts as well.
SELECT count(*) FILTER (WHERE o.id IS NULL
    OR (o.state <> ALL($3::text[]) AND o.state NOT IN ('awaiting_seller', 'in_review'))) AS waiting
FROM unnest($2::bigint[]) AS wanted(id) LEFT JOIN orders o ON o.book = $1 AND o.id = wanted.id

-- name: outcomes
-- How the orders of a run ended.
SELECT o.id, o.state, o.code, o.paid_fen, r.order_id IS NOT NULL AS receipted
FROM orders o LEFT JOIN receipts r ON r.book = o.book AND r.order_id = o.id
WHERE o.book = $1 AND o.id = ANY($2::bigint[])

-- name: effects_since
-- Effects of a run by kind and where they stand.
SELECT e.kind, coalesce(last.result, 'journalled') AS result, count(*) AS n
FROM effects e LEFT JOIN LATERAL (
    SELECT r.result FROM effect_results r
    WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) last ON true
WHERE e.book = $1 AND e.at >= $2
GROUP BY 1, 2 ORDER BY 1, 2
