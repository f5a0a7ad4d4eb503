-- name: list_licences
SELECT number, issuer, capabilities, valid_from, valid_until, recorded_by
FROM licences WHERE book = $1 ORDER BY valid_until, number

-- name: record_licence
-- The book's writer executes an approved record; recorded again under its number, a licence is replaced.
INSERT INTO licences (book, number, issuer, capabilities, valid_from, valid_until, recorded_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (book, number) DO UPDATE
SET issuer = excluded.issuer, capabilities = excluded.capabilities, valid_from = excluded.valid_from,
    valid_until = excluded.valid_until, recorded_by = excluded.recorded_by
