-- name: insert
-- A bid that stands from now on; nothing is returned when its reference was taken.
INSERT INTO standing_bids
    (book, id, outlet, client_ref, carrier, numbers, price_ppm, order_fen, daily_fen, total_fen, speed, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING RETURNING id

-- name: outlets
-- Outlets with a bid that stands.
SELECT DISTINCT outlet FROM standing_bids WHERE book = $1 AND withdrawn_at IS NULL ORDER BY outlet

-- name: count
-- How many bids of an outlet stand.
SELECT count(*) FROM standing_bids WHERE book = $1 AND outlet = $2 AND withdrawn_at IS NULL

-- name: wanting
-- Numbers of an outlet's standing bids that have no open demand, with what was taken today (since id $3) and in all. What
-- was taken is counted once for a bid, and only where a number wants something. No demand of a bid is open for more than a
-- day, so those of the last two are looked at; fills of older ones count where something limits the whole.
WITH standing AS MATERIALIZED (
    SELECT b.id, b.carrier, b.numbers, b.price_ppm, b.order_fen, b.daily_fen, b.total_fen, b.speed, b.created_at,
           now_open.open_fen, now_open.numbers AS served
    FROM standing_bids b
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(o.open_fen), 0)::bigint AS open_fen, coalesce(array_agg(o.number), '{}') AS numbers
        FROM demands d JOIN open_demands o ON o.book = d.book AND o.id = d.id
        WHERE d.book = $1 AND d.bid_id = b.id AND d.created_at >= $4::timestamptz - interval '2 days'
    ) AS now_open
    WHERE b.book = $1 AND b.outlet = $2 AND b.withdrawn_at IS NULL AND NOT b.numbers <@ now_open.numbers
), counted AS MATERIALIZED (
    SELECT b.*, used.day_fen, used.all_fen
    FROM standing b
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(f.face_fen) FILTER (WHERE f.id >= $3), 0)::bigint AS day_fen,
               coalesce(sum(f.face_fen), 0)::bigint AS all_fen
        FROM demands d JOIN fills f ON f.book = d.book AND f.demand_id = d.id
        WHERE d.book = $1 AND d.bid_id = b.id AND f.state IN ('reserved', 'delivering', 'delivered')
          AND d.created_at >= CASE WHEN b.total_fen IS NULL THEN $4::timestamptz - interval '2 days' ELSE b.created_at END
    ) AS used
)
SELECT c.id, c.carrier, n.number, c.price_ppm, c.order_fen, c.daily_fen, c.total_fen, c.speed,
       c.day_fen, c.all_fen, c.open_fen
FROM counted c CROSS JOIN LATERAL unnest(c.numbers) AS n (number)
WHERE NOT n.number = ANY (c.served)
ORDER BY c.id, n.number

-- name: list
-- An outlet's standing bids, newest first, with what is open and what was filled of them.
SELECT b.id, b.client_ref, b.carrier, b.numbers, b.price_ppm, b.order_fen, b.daily_fen, b.total_fen, b.speed,
       b.created_at, b.withdrawn_at, coalesce(o.open_fen, 0)::bigint AS open_fen, coalesce(f.filled_fen, 0)::bigint AS filled_fen
FROM standing_bids b
LEFT JOIN LATERAL (SELECT sum(o.open_fen) AS open_fen FROM demands d
                   JOIN open_demands o ON o.book = d.book AND o.id = d.id
                   WHERE d.book = $1 AND d.bid_id = b.id) o ON true
LEFT JOIN LATERAL (SELECT sum(f.face_fen) AS filled_fen FROM demands d
                   JOIN fills f ON f.book = d.book AND f.demand_id = d.id
                   WHERE d.book = $1 AND d.bid_id = b.id AND f.state IN ('reserved', 'delivering', 'delivered')) f ON true
WHERE b.book = $1 AND b.outlet = $2 AND ($3::bigint IS NULL OR b.id = $3)
ORDER BY b.id DESC LIMIT $4

-- name: withdraw
-- It stands no more.
UPDATE standing_bids SET withdrawn_at = $4 WHERE book = $1 AND id = $2 AND outlet = $3 AND withdrawn_at IS NULL

-- name: demands_under_way
-- Demands made from a bid of which something is open, or may be again: a fill under way may come to nothing.
SELECT d.id FROM demands d
WHERE d.book = $1 AND d.bid_id = $2 AND d.withdrawn_at IS NULL AND d.deadline_at > $3
  AND (EXISTS (SELECT FROM open_demands o WHERE o.book = $1 AND o.id = d.id)
       OR EXISTS (SELECT FROM fills f WHERE f.book = $1 AND f.demand_id = d.id AND f.state IN ('reserved', 'delivering')))
ORDER BY d.id
