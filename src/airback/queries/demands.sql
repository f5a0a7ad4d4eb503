-- name: list_demands
-- An outlet's demands, newest first, with what became of each.
SELECT d.id, d.outlet, d.client_ref, d.carrier, d.number, d.amount_fen, d.price_ppm, d.deadline_at, d.created_at,
       coalesce(o.open_fen, 0) AS open_fen,
       coalesce(f.reserved_fen, 0)::bigint AS reserved_fen, coalesce(f.delivered_fen, 0)::bigint AS delivered_fen
FROM demands d
LEFT JOIN open_demands o ON o.book = d.book AND o.id = d.id
LEFT JOIN LATERAL (
    SELECT sum(face_fen) FILTER (WHERE state IN ('reserved', 'delivering')) AS reserved_fen,
           sum(delivered_fen) FILTER (WHERE state = 'delivered') AS delivered_fen
    FROM fills WHERE fills.book = $1 AND fills.demand_id = d.id
) f ON true
WHERE d.book = $1 AND ($2::text IS NULL OR d.outlet = $2) AND d.id < $3
  AND ($5::text IS NULL OR d.client_ref = $5) AND ($6::bigint IS NULL OR d.id = $6)
ORDER BY d.id DESC LIMIT $4

-- name: is_open
-- Whether anything of a demand is still open.
SELECT EXISTS (SELECT FROM open_demands WHERE book = $1 AND id = $2)
