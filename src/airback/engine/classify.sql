-- Which published class a seller is in, by what was closed.

-- name: begin
INSERT INTO seller_counts (book) VALUES ($1) ON CONFLICT (book) DO NOTHING

-- name: counted
-- Whoever counts holds the row, so that two workers count one after the other.
SELECT seq, day, card_version FROM seller_counts WHERE book = $1 FOR UPDATE

-- name: card
-- The price list that took effect last.
SELECT document FROM rate_cards WHERE book = $1 AND effective_at <= $2 ORDER BY effective_at DESC, version DESC LIMIT 1

-- name: last_seq
SELECT coalesce((SELECT seq FROM events WHERE book = $1 ORDER BY seq DESC LIMIT 1), 0)

-- name: count_closed
-- Orders that closed in events $2 (exclusive) to $3, added to their sellers' days; the sellers.
WITH closed AS (
    SELECT o.seller, (e.at AT TIME ZONE 'Asia/Shanghai')::date AS day, count(*) AS orders, sum(o.delivered_fen) AS face_fen
    FROM events e JOIN orders o ON o.book = e.book AND o.id = e.order_id
    WHERE e.book = $1 AND e.seq > $2 AND e.seq <= $3 AND e.action = 'engine:order:closed' AND o.delivered_fen > 0
    GROUP BY 1, 2
), added AS (
    INSERT INTO seller_days AS d (book, seller, day, orders, face_fen)
    SELECT $1, seller, day, orders, face_fen FROM closed
    ON CONFLICT (book, seller, day) DO UPDATE
        SET orders = d.orders + EXCLUDED.orders, face_fen = d.face_fen + EXCLUDED.face_fen
    RETURNING seller
)
SELECT DISTINCT seller FROM added

-- name: classify
-- The highest class whose thresholds a seller meets since day $2 (exclusive), of the sellers $3 (NULL: of all). Classes
-- stand lowest first; the lowest needs no row, and who falls back to it keeps one that says so.
WITH volumes AS (
    SELECT seller, sum(orders) AS orders, sum(face_fen) AS face_fen FROM seller_days
    WHERE book = $1 AND day > $2 AND ($3::bigint[] IS NULL OR seller = ANY ($3))
    GROUP BY seller
), met AS (
    SELECT DISTINCT ON (v.seller) v.seller, c.class
    FROM volumes v JOIN unnest($4::text[], $5::bigint[], $6::bigint[]) WITH ORDINALITY
        AS c (class, least_face_fen, least_orders, place)
        ON v.face_fen >= c.least_face_fen AND v.orders >= c.least_orders
    WHERE c.place > 1
    ORDER BY v.seller, c.place DESC
), risen AS (
    INSERT INTO seller_classes AS s (book, client, ref, seller, class, changed_at)
    SELECT $1, p.client, p.ref, p.id, met.class, $7 FROM met JOIN parties p ON p.book = $1 AND p.id = met.seller
    ON CONFLICT (book, client, ref) DO UPDATE SET class = EXCLUDED.class, changed_at = EXCLUDED.changed_at
        WHERE s.class <> EXCLUDED.class
    RETURNING seller
), fallen AS (
    UPDATE seller_classes s SET class = ($4::text[])[1], changed_at = $7
    WHERE s.book = $1 AND s.class <> ($4::text[])[1] AND ($3::bigint[] IS NULL OR s.seller = ANY ($3))
        AND NOT EXISTS (SELECT FROM met WHERE met.seller = s.seller)
    RETURNING seller
)
SELECT (SELECT count(*) FROM risen) + (SELECT count(*) FROM fallen)

-- name: forget_days
-- Days before any class could look back to.
DELETE FROM seller_days WHERE book = $1 AND day < $2

-- name: keep_counted
UPDATE seller_counts SET seq = $2, day = $3, card_version = $4 WHERE book = $1
