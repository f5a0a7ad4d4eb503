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
        o.face_fen, o.net_fen, o.quote, o.rail, o.payee, o.notify_number, o.language, o.agreement, 'submitted',
        o.hold_kind, $3, $3
    FROM unnest(
        $4::bigint[], $5::text[], $6::bigint[], $7::smallint[], $8::text[], $9::text[], $10::text[], $11::text[],
        $12::bytea[], $13::bigint[], $14::bigint[], $15::jsonb[], $16::text[], $17::bytea[], $18::text[],
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
