-- name: live
-- Caps that count at that time.
SELECT carrier, product, most_ppm, per_seller_fen_per_day, promotion, reason, since, until
FROM price_caps WHERE book = $1 AND since <= $2 AND until > $2
ORDER BY carrier, product, promotion

-- name: all_caps
-- Every cap, whenever it counts, with who set other figures.
SELECT promotion, most_ppm, per_seller_fen_per_day, reason, since, until, set_at, overridden_by
FROM price_caps WHERE book = $1 AND until > $2

-- name: record_promotion
INSERT INTO carrier_promotions (book, id, carrier, product, buy_ppm, since, until, per_account_fen, leaves_ppm,
    per_seller_fen_per_day, source, recorded_by, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)

-- name: withdraw_promotion
UPDATE carrier_promotions SET withdrawn_by = $3, withdrawn_reason = $4, withdrawn_at = $5
WHERE book = $1 AND id = $2 AND withdrawn_at IS NULL AND until > $5
RETURNING true

-- name: promotions
-- Promotions that end after that time, withdrawn ones too, newest first.
SELECT id, carrier, product, buy_ppm, since, until, per_account_fen, leaves_ppm, per_seller_fen_per_day, source,
    recorded_by, recorded_at, withdrawn_at, withdrawn_by, withdrawn_reason
FROM carrier_promotions WHERE book = $1 AND until > $2
ORDER BY since DESC, id DESC

-- name: lock_watch
-- One watch of a book at a time: two would alarm twice.
SELECT pg_advisory_xact_lock(hashtextextended('airback arbitrage watch', $1::integer))

-- name: set_caps
-- Caps as the watch wants them; those that people set stay. What changed is returned.
INSERT INTO price_caps AS c (book, set_at, promotion, carrier, product, most_ppm, per_seller_fen_per_day, reason, since, until)
SELECT $1, $2, v.* FROM unnest($3::bigint[], $4::text[], $5::text[], $6::integer[], $7::bigint[], $8::text[],
    $9::timestamptz[], $10::timestamptz[]) AS v
ON CONFLICT (book, promotion) DO UPDATE SET
    most_ppm = EXCLUDED.most_ppm, per_seller_fen_per_day = EXCLUDED.per_seller_fen_per_day, until = EXCLUDED.until,
    set_at = EXCLUDED.set_at
WHERE c.overridden_by IS NULL AND (c.most_ppm, c.until) IS DISTINCT FROM (EXCLUDED.most_ppm, EXCLUDED.until)
RETURNING promotion

-- name: end_caps
-- Caps end now whose promotion was withdrawn, or leaves a trader nothing any more. What ended is returned.
UPDATE price_caps SET until = $2 WHERE book = $1 AND promotion = ANY($3::bigint[]) AND since < $2 AND until > $2
RETURNING promotion

-- name: drop_caps
-- The same of caps that had not begun.
DELETE FROM price_caps WHERE book = $1 AND promotion = ANY($3::bigint[]) AND since >= $2
RETURNING promotion

-- name: override_cap
-- Figures that two people set for a promotion's cap, for the rest of its time.
UPDATE price_caps SET most_ppm = $3, per_seller_fen_per_day = $4, overridden_by = $5, set_at = $6, reason = $7
WHERE book = $1 AND promotion = $2

-- name: caps_of
-- What stands of the caps of these promotions.
SELECT promotion, most_ppm, per_seller_fen_per_day, until FROM price_caps
WHERE book = $1 AND promotion = ANY($2::bigint[])

-- name: open_alarms
-- A trade that pays is a person's to look at.
INSERT INTO alarms (book, opened_at, id, kind, subject, detail, due_at)
SELECT $1, $2, v.id, 'arbitrage', v.subject, v.detail::jsonb, v.due_at
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::timestamptz[]) AS v(id, subject, detail, due_at)
ON CONFLICT (book, kind, subject) WHERE closed_at IS NULL DO NOTHING

-- name: close_alarms
-- Alarms of promotions whose cap counts no more.
UPDATE alarms SET closed_at = $2
WHERE book = $1 AND kind = 'arbitrage' AND closed_at IS NULL AND NOT subject = ANY($3::text[])

-- name: lock_sellers
-- One intake at a time for a seller whose airtime is limited, so that two never count on the same room.
SELECT id FROM parties WHERE book = $1 AND id = ANY($2::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: lock_numbers
-- The same for a number whose balance is limited, under whatever names of whichever clients it is sold.
SELECT pg_advisory_xact_lock(hashtextextended('airback daily limit ' || n, $1::integer))
FROM (SELECT unnest($2::text[]) AS n ORDER BY 1) AS numbers

-- name: sold_of_numbers
-- Face value that was brought of these numbers' balances since then, whoever brought it, of orders that did not end unharmed.
SELECT number, sum(face_fen)::bigint AS face_fen FROM orders
WHERE book = $1 AND number = ANY($2::text[]) AND id >= $3 AND carrier = $4 AND product = 'balance'
  AND state NOT IN ('declined', 'cancelled', 'expired', 'failed')
GROUP BY number

-- name: sold_since
-- Face value that sellers brought of an asset since then, of orders that did not end unharmed; of a card that turned out to
-- be worth more, what it was worth. An id tells its time, so the sellers' own index finds them.
SELECT seller, sum(greatest(face_fen, delivered_fen))::bigint AS face_fen FROM orders
WHERE book = $1 AND seller = ANY($2::bigint[]) AND id >= $3 AND carrier = $4 AND product = $5
  AND state NOT IN ('declined', 'cancelled', 'expired', 'failed')
GROUP BY seller

-- name: sold_under
-- What was brought of an asset in a promotion's time: orders, face value, sellers, and those of them at their limit on some day.
SELECT coalesce(sum(d.orders), 0)::bigint AS orders, coalesce(sum(d.face_fen), 0)::bigint AS face_fen,
    coalesce(sum(d.net_fen), 0)::bigint AS net_fen, count(DISTINCT d.seller) AS sellers,
    count(DISTINCT d.seller) FILTER (WHERE d.face_fen >= $7) AS at_limit
FROM (
    SELECT seller, (submitted_at AT TIME ZONE 'Asia/Shanghai')::date AS day, count(*) AS orders, sum(face_fen) AS face_fen,
        sum(net_fen) AS net_fen
    FROM orders
    WHERE book = $1 AND id >= $2 AND id < $3 AND carrier = $4 AND product = $5 AND submitted_at >= $6
      AND state NOT IN ('declined', 'cancelled', 'expired', 'failed')
    GROUP BY 1, 2
) d
