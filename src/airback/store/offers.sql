-- name: insert
-- An offer that rests from now on; nothing is returned when its reference was taken or its number is offered already.
INSERT INTO offers
    (book, id, client, client_ref, seller, seller_ref, carrier, number, province, expires_on, face_fen, net_fen, net_ppm, rail,
     payee, notify_number, language, agreement, proved_at, deadline_at, state, created_at, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, 'resting', $21, $21)
ON CONFLICT DO NOTHING RETURNING id

-- name: number_rests
-- Whether a client has an offer of the number that rests.
SELECT true FROM offers WHERE book = $1 AND client = $2 AND number = $3 AND state = 'resting'

-- name: list
-- A client's offers, newest first: one, one seller's, in one state, from behind $6 on.
SELECT id, client, client_ref, seller, seller_ref, carrier, number, province, expires_on, face_fen, net_fen, net_ppm, rail, payee,
       notify_number, language, agreement, proved_at, deadline_at,
       CASE WHEN state = 'resting' AND deadline_at <= $8 THEN 'expired' ELSE state END AS state, order_id, created_at
FROM offers
WHERE book = $1 AND client = $2 AND ($3::bigint IS NULL OR id = $3) AND ($4::text IS NULL OR seller_ref = $4)
  AND ($5::text IS NULL OR CASE WHEN state = 'resting' AND deadline_at <= $8 THEN 'expired' ELSE state END = $5)
  AND ($6::bigint IS NULL OR id < $6)
ORDER BY id DESC LIMIT $7

-- name: revise
-- Another price or deadline, while it rests.
UPDATE offers SET net_fen = $4, net_ppm = $5, deadline_at = $6, changed_at = $7
WHERE book = $1 AND client = $2 AND id = $3 AND state = 'resting' AND deadline_at > $7

-- name: withdraw
-- The seller takes it back, while it rests.
UPDATE offers SET state = 'withdrawn', changed_at = $4
WHERE book = $1 AND client = $2 AND id = $3 AND state = 'resting' AND deadline_at > $4

-- name: expire
-- Offers whose time is up.
UPDATE offers SET state = 'expired', changed_at = $2 WHERE book = $1 AND state = 'resting' AND deadline_at <= $2

-- name: wanted
-- Carriers that somebody wants airtime of and of which some is offered at a price that may do: what is wanted open and the
-- best price bid.
SELECT w.carrier, w.open_fen, w.best_ppm
FROM (SELECT carrier, sum(open_fen)::bigint AS open_fen, max(price_ppm) AS best_ppm FROM open_demands
      WHERE book = $1 AND deadline_at > $2 GROUP BY carrier) AS w
WHERE EXISTS (SELECT FROM offers o WHERE o.book = $1 AND o.state = 'resting' AND o.carrier = w.carrier
              AND o.net_ppm < w.best_ppm AND o.deadline_at > $2)
ORDER BY w.carrier

-- name: best
-- A carrier's offers below a price, the lowest first, then the oldest, with their sellers' classes. They stay locked until the
-- transaction ends; one that its seller changes at this moment waits for the next time.
SELECT o.id, o.client, o.client_ref, o.seller, o.seller_ref, o.carrier, o.number, o.province, o.expires_on, o.face_fen,
       o.net_fen, o.net_ppm, o.rail, o.payee, o.notify_number, o.language, o.agreement, o.proved_at, o.deadline_at, o.state,
       o.order_id, o.created_at, (SELECT c.class FROM seller_classes c
                                  WHERE c.book = $1 AND c.client = o.client AND c.ref = o.seller_ref) AS class
FROM offers o
WHERE o.book = $1 AND o.carrier = $2 AND o.state = 'resting' AND o.net_ppm < $3 AND o.deadline_at > $4
ORDER BY o.net_ppm, o.id LIMIT $5
FOR UPDATE OF o SKIP LOCKED

-- name: meet
-- Offers that became these orders.
UPDATE offers SET state = 'met', order_id = v.order_id, changed_at = $2
FROM unnest($3::bigint[], $4::bigint[]) AS v (id, order_id)
WHERE offers.book = $1 AND offers.id = v.id AND offers.state = 'resting'

-- name: levels
-- The ask side of the book: what rests at each tenth of a percent, by carrier, the lowest first.
SELECT carrier, (net_ppm / 1000 * 1000)::integer AS net_ppm, count(*) AS offers, sum(face_fen)::bigint AS face_fen
FROM offers WHERE book = $1 AND state = 'resting' AND deadline_at > $2
GROUP BY 1, 2 ORDER BY 1, 2
