-- name: happened
-- Events and answers of one order, in the order of their time.
SELECT at, what FROM (
    SELECT at, 0 AS n, seq AS m, action || ' ' || coalesce(convert_from(body, 'UTF8')::jsonb - 'action' - 'at' - 'book' - 'seq' - 'order', '{}')::text AS what
    FROM events WHERE book = $1 AND order_id = $2
    UNION ALL
    SELECT e.at, 1, e.id, 'journalled ' || e.kind || ' ' || e.amount_fen || ' fen to ' || e.far_side || ' as ' || left(e.ref, 8)
    FROM effects e WHERE e.book = $1 AND e.order_id = $2
    UNION ALL
    SELECT r.at, 2, r.n, e.kind || ' ' || left(e.ref, 8) || ': ' || r.result || coalesce(' ' || r.code, '') || CASE WHEN r.applied THEN '' ELSE ' (changes nothing)' END
    FROM effects e JOIN effect_results r ON r.book = e.book AND r.effect_id = e.id WHERE e.book = $1 AND e.order_id = $2
) story ORDER BY at, n, m
