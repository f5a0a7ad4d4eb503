-- The rate index of a week: what it is made of, and its publication, once.

-- name: unpublished
-- Weeks (their Mondays) that began after the book did, ended before $2 and have no index, the oldest first; none before $3.
SELECT week::date AS week
FROM books b
CROSS JOIN LATERAL generate_series(
    greatest($3::date, date_trunc('week', b.created_at AT TIME ZONE 'Asia/Shanghai')::date),
    (date_trunc('week', $2::timestamptz AT TIME ZONE 'Asia/Shanghai') - interval '7 days')::date, interval '7 days') AS week
WHERE b.book = $1 AND NOT EXISTS (SELECT FROM rate_index i WHERE i.book = $1 AND i.week = week::date)
ORDER BY 1

-- name: paid
-- What sellers were credited with from $2 to before $3, by leaf, seller and rate. $4: upper ends of the face bands, $5: of
-- the expiry bands, in days.
SELECT o.carrier, width_bucket(o.face_fen - 1, $4::bigint[])::text AS face,
       coalesce(left(o.quote ->> 'province', 2), '') AS province,
       CASE WHEN o.quote ->> 'expires_on' IS NULL THEN ''
            ELSE width_bucket((o.quote ->> 'expires_on')::date - (t.event_at AT TIME ZONE 'Asia/Shanghai')::date - 1, $5::integer[])::text
       END AS expiry,
       o.seller, t.amount_fen * 1000 / o.delivered_fen * 1000 AS rate_ppm, count(*) AS orders, sum(o.delivered_fen)::bigint AS face_fen
FROM transfers t JOIN orders o ON o.book = t.book AND o.id = t.order_id
WHERE t.book = $1 AND t.event_at >= $2 AND t.event_at < $3 AND t.kind = 'credit' AND t.leg = 1 AND t.phase = 'posted'
  AND o.delivered_fen > 0
GROUP BY 1, 2, 3, 4, 5, 6

-- name: insert_index
INSERT INTO rate_index (book, week, document, published_at) VALUES ($1, $2, $3, $4) ON CONFLICT (book, week) DO NOTHING
