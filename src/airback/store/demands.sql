-- name: taken_refs
-- Which of an outlet's references already belong to a demand.
SELECT client_ref FROM demands WHERE book = $1 AND outlet = $2 AND client_ref = ANY ($3::text[])

-- name: lock_outlet
-- One placing at a time per outlet, so that two never count on the same money. The outlet must be on record.
SELECT outlet FROM outlets WHERE book = $1 AND outlet = $2 FOR UPDATE

-- name: lock_outlet_if_free
-- The same for who may come again later: nothing is returned while somebody else places demands.
SELECT outlet FROM outlets WHERE book = $1 AND outlet = $2 FOR UPDATE SKIP LOCKED

-- name: place
-- New demands and their open rows. One whose reference was taken meanwhile is not returned. From here on only the
-- book's writer changes `open_demands`.
WITH placed AS (
    INSERT INTO demands (book, id, outlet, client_ref, carrier, number, amount_fen, price_ppm, deadline_at, created_at,
                         bid_id)
    SELECT $1, d.id, $2, d.client_ref, d.carrier, d.number, d.amount_fen, d.price_ppm, d.deadline_at, $3, d.bid_id
    FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::integer[], $10::timestamptz[],
                $11::bigint[])
        AS d (id, client_ref, carrier, number, amount_fen, price_ppm, deadline_at, bid_id)
    ORDER BY d.client_ref, d.id
    ON CONFLICT DO NOTHING
    RETURNING id, outlet, carrier, number, price_ppm, amount_fen, deadline_at
)
INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
SELECT $1, id, outlet, carrier, number, price_ppm, amount_fen, deadline_at FROM placed
RETURNING id

-- name: outlet_of
-- Whose demand it is, whether anything of it is still open, and whether it was withdrawn.
SELECT d.outlet, o.id IS NOT NULL AS open, d.withdrawn_at IS NOT NULL AS withdrawn
FROM demands d LEFT JOIN open_demands o ON o.book = d.book AND o.id = d.id
WHERE d.book = $1 AND d.id = $2
