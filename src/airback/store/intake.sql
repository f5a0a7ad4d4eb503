-- name: answer_of
-- The stored answer to a client's idempotency key.
SELECT request_hash, answer FROM idempotency WHERE book = $1 AND client = $2 AND key = $3

-- name: taken_refs
-- Which of a client's references already belong to an order.
SELECT client_ref FROM orders WHERE book = $1 AND client = $2 AND client_ref = ANY ($3::text[])

-- name: claim_quotes
-- Claim quotes, in order of fingerprint so that two batches never wait for each other crosswise. A claim without an
-- order (`expires_at` set) is its seller's own earlier try, since a quote is bound to its seller: the order id that
-- was assigned then is taken over. One that an order owns is left alone and not returned.
INSERT INTO claims AS held (book, kind, fingerprint, order_id, expires_at)
SELECT $1, 'quote', wanted.fingerprint, wanted.order_id, $4
FROM unnest($2::bytea[], $3::bigint[]) AS wanted (fingerprint, order_id)
ORDER BY wanted.fingerprint
ON CONFLICT (book, kind, fingerprint) DO UPDATE SET expires_at = excluded.expires_at
WHERE held.expires_at IS NOT NULL
RETURNING fingerprint, order_id, xmax = 0 AS fresh

-- name: own_new_quotes
-- Quotes that nobody has seen yet, claimed by the orders they were made for.
INSERT INTO claims (book, kind, fingerprint, order_id)
SELECT $1, 'quote', made.fingerprint, made.order_id FROM unnest($2::bytea[], $3::bigint[]) AS made (fingerprint, order_id)

-- name: claim_cards
-- Claim cards, in order of fingerprint. A claim of the same order id is our own earlier try; one that expired without
-- an order is nobody's. Whatever an order owns is not returned.
INSERT INTO claims AS held (book, kind, fingerprint, order_id, expires_at)
SELECT $1, 'card', wanted.fingerprint, wanted.order_id, $4
FROM unnest($2::bytea[], $3::bigint[]) AS wanted (fingerprint, order_id)
ORDER BY wanted.fingerprint
ON CONFLICT (book, kind, fingerprint) DO UPDATE SET order_id = excluded.order_id, expires_at = excluded.expires_at
WHERE held.expires_at IS NOT NULL AND (held.order_id = excluded.order_id OR held.expires_at <= $5)
RETURNING fingerprint, xmax = 0 AS fresh

-- name: let_go
-- Give up claims that no order came to own.
DELETE FROM claims
USING unnest($2::text[], $3::bytea[], $4::bigint[]) AS mine (kind, fingerprint, order_id)
WHERE claims.book = $1 AND claims.kind = mine.kind AND claims.fingerprint = mine.fingerprint
  AND claims.order_id = mine.order_id AND claims.expires_at IS NOT NULL

-- name: lock_claims
-- Lock our claims, quotes first as when they were claimed, before an order is inserted. One that somebody took over meanwhile is not returned.
SELECT claims.kind, claims.fingerprint, claims.order_id
FROM unnest($2::text[], $3::bytea[], $4::bigint[]) AS mine (kind, fingerprint, order_id)
JOIN claims ON claims.book = $1 AND claims.kind = mine.kind AND claims.fingerprint = mine.fingerprint
WHERE claims.order_id = mine.order_id AND claims.expires_at IS NOT NULL
ORDER BY claims.kind DESC, claims.fingerprint
FOR UPDATE OF claims

-- name: own_claims
-- From here on the order owns them: for ever, unless the engine gives a card back that came to no harm.
UPDATE claims SET expires_at = NULL
FROM unnest($2::text[], $3::bytea[]) AS mine (kind, fingerprint)
WHERE claims.book = $1 AND claims.kind = mine.kind AND claims.fingerprint = mine.fingerprint

-- name: give_back_cards
-- Orders ended before any redemption was sent: their cards may be submitted again.
DELETE FROM claims
USING unnest($2::bytea[], $3::bigint[]) AS spared (fingerprint, order_id)
WHERE claims.book = $1 AND claims.kind = 'card' AND claims.fingerprint = spared.fingerprint
  AND claims.order_id = spared.order_id

-- name: add_sellers
-- Sellers of a client that are not on record yet.
INSERT INTO parties (book, id, client, ref, created_at)
SELECT $1, wanted.id, $2, wanted.ref, $5
FROM unnest($3::bigint[], $4::text[]) AS wanted (id, ref)
ORDER BY wanted.ref
ON CONFLICT DO NOTHING

-- name: sellers_by_ref
-- Ids of a client's sellers.
SELECT ref, id FROM parties WHERE book = $1 AND client = $2 AND ref = ANY ($3::text[])

-- name: place_orders
-- Orders and their open work, due now. An order whose client reference was taken meanwhile is not returned.
WITH placed AS (
    INSERT INTO orders (
        book, id, client, client_ref, seller, lane, product, carrier, number, card_number, card_code,
        face_fen, net_fen, quote, rail, payee, notify_number, language, agreement, state, hold_kind,
        submitted_at, updated_at
    )
    SELECT $1, o.id, $2, o.client_ref, o.seller, o.lane, o.product, o.carrier, o.number, o.card_number, o.card_code,
        o.face_fen, o.net_fen, o.quote::jsonb, o.rail, o.payee, o.notify_number, o.language, o.agreement, 'submitted',
        o.hold_kind, $3, $3
    FROM unnest(
        $4::bigint[], $5::text[], $6::bigint[], $7::smallint[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::bytea[], $13::bigint[], $14::bigint[], $15::text[], $16::text[], $17::bytea[], $18::text[],
        $19::text[], $20::text[], $21::text[]
    ) AS o (
        id, client_ref, seller, lane, product, carrier, number, card_number,
        card_code, face_fen, net_fen, quote, rail, payee, notify_number,
        language, agreement, hold_kind
    )
    ORDER BY o.client_ref, o.id
    ON CONFLICT DO NOTHING
    RETURNING id, lane, seller
)
INSERT INTO work (book, order_id, lane, seller, due_at)
SELECT $1, id, lane, seller, $3 FROM placed
RETURNING order_id

-- name: forget_claims_of
-- Claims of orders that were not inserted after all, within the inserting transaction.
DELETE FROM claims
USING unnest($2::text[], $3::bytea[], $4::bigint[]) AS mine (kind, fingerprint, order_id)
WHERE claims.book = $1 AND claims.kind = mine.kind AND claims.fingerprint = mine.fingerprint
  AND claims.order_id = mine.order_id

-- name: keep_answer
-- The answer to this key from now on; nothing is returned when the key already has one.
INSERT INTO idempotency (book, client, key, request_hash, answer, created_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (book, client, key) DO NOTHING
RETURNING true

-- name: accept
-- Requests that nobody contests, each whole or not at all; the places of the others are returned and nothing of theirs is
-- kept. What is claimed here belongs to its order at once. Each part waits for the count of the one before, so that rows
-- are locked in the order of the long way: quotes, cards, sellers, orders, keys; each sorted. The look-ups are fenced, so
-- that they stay look-ups whatever the planner believes.
WITH requests AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::timestamptz[])
        WITH ORDINALITY AS r (client, key, request_hash, answer, at, place)
),
things AS MATERIALIZED (
    SELECT * FROM unnest($7::integer[], $8::text[], $9::bytea[], $10::bigint[])
        AS t (place, kind, fingerprint, order_id)
),
sold AS MATERIALIZED (
    SELECT o.*, r.client, r.at
    FROM unnest(
        $11::integer[], $12::text[], $13::bigint[], $14::text[], $15::bigint[], $16::smallint[], $17::text[],
        $18::text[], $19::text[], $20::text[], $21::bytea[], $22::bigint[], $23::bigint[], $24::text[], $25::text[],
        $26::bytea[], $27::text[], $28::text[], $29::text[], $30::text[]
    ) AS o (
        place, seller_ref, id, client_ref, seller, lane, product,
        carrier, number, card_number, card_code, face_fen, net_fen, quote, rail,
        payee, notify_number, language, agreement, hold_kind
    )
    JOIN requests r ON r.place = o.place + 1
),
contested AS MATERIALIZED (
    SELECT r.place - 1 AS place
    FROM requests r
    CROSS JOIN LATERAL (
        SELECT FROM idempotency i WHERE i.book = $1 AND i.client = r.client AND i.key = r.key OFFSET 0
    ) AS answered
    UNION
    SELECT t.place
    FROM things t
    CROSS JOIN LATERAL (
        SELECT FROM claims c WHERE c.book = $1 AND c.kind = t.kind AND c.fingerprint = t.fingerprint OFFSET 0
    ) AS claimed
    UNION
    SELECT s.place
    FROM sold s
    CROSS JOIN LATERAL (
        SELECT FROM orders o WHERE o.book = $1 AND o.client = s.client AND o.client_ref = s.client_ref OFFSET 0
    ) AS named
),
claimed AS (
    INSERT INTO claims (book, kind, fingerprint, order_id)
    SELECT $1, t.kind, t.fingerprint, t.order_id
    FROM things t
    WHERE t.place NOT IN (SELECT place FROM contested)
    ORDER BY t.kind DESC, t.fingerprint
    RETURNING order_id
),
known AS MATERIALIZED (
    SELECT s.id AS order_id, p.id
    FROM sold s
    CROSS JOIN LATERAL (
        SELECT p.id FROM parties p WHERE p.book = $1 AND p.client = s.client AND p.ref = s.seller_ref OFFSET 0
    ) AS p
),
met AS (
    INSERT INTO parties (book, id, client, ref, created_at)
    SELECT DISTINCT ON (s.client, s.seller_ref) $1, s.seller, s.client, s.seller_ref, s.at
    FROM sold s
    WHERE s.place NOT IN (SELECT place FROM contested)
      AND s.id NOT IN (SELECT order_id FROM known)
      AND (SELECT count(*) FROM claimed) > 0
    ORDER BY s.client, s.seller_ref
    RETURNING id
),
placed AS (
    INSERT INTO orders (
        book, id, client, client_ref, seller, lane, product, carrier, number, card_number, card_code,
        face_fen, net_fen, quote, rail, payee, notify_number, language, agreement, state, hold_kind,
        submitted_at, updated_at
    )
    SELECT $1, s.id, s.client, s.client_ref, coalesce(k.id, s.seller), s.lane, s.product, s.carrier, s.number,
        s.card_number, s.card_code, s.face_fen, s.net_fen, s.quote::jsonb, s.rail, s.payee, s.notify_number, s.language,
        s.agreement, 'submitted', s.hold_kind, s.at, s.at
    FROM sold s
    LEFT JOIN known k ON k.order_id = s.id
    WHERE s.place NOT IN (SELECT place FROM contested)
      AND (SELECT count(*) FROM met) >= 0
    ORDER BY s.client, s.client_ref, s.id
    RETURNING id, lane, seller, submitted_at
),
open AS (
    INSERT INTO work (book, order_id, lane, seller, due_at)
    SELECT $1, id, lane, seller, submitted_at FROM placed
),
answered AS (
    INSERT INTO idempotency (book, client, key, request_hash, answer, created_at)
    SELECT $1, r.client, r.key, r.request_hash, r.answer::jsonb, r.at
    FROM requests r
    WHERE r.place - 1 NOT IN (SELECT place FROM contested)
      AND (SELECT count(*) FROM placed) > 0
    ORDER BY r.client, r.key
)
SELECT place::integer AS place FROM contested

-- name: count_accepted
-- What is on record of a client's orders, counted four ways that must agree.
SELECT (SELECT count(*) FROM orders WHERE book = $1 AND client = $2) AS orders,
    (SELECT count(*) FROM work JOIN orders o ON o.book = work.book AND o.id = work.order_id
     WHERE o.book = $1 AND o.client = $2) AS open,
    (SELECT count(*) FROM claims c JOIN orders o ON o.book = c.book AND o.id = c.order_id
     WHERE o.book = $1 AND o.client = $2 AND c.kind = 'quote' AND c.expires_at IS NULL) AS quotes,
    (SELECT count(*) FROM idempotency WHERE book = $1 AND client = $2) AS answers
