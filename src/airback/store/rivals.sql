-- name: record
-- Competitors' rates that were not said before; the others are left as they are. Which were written, by their digest.
INSERT INTO competitor_rates (book, recorded_by, recorded_at, id, competitor, carrier, product, face_fen, face_upto_fen,
    place, rate_ppm, seen_at, source, said)
SELECT $1, $2, $3, v.* FROM unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
    $10::text[], $11::integer[], $12::timestamptz[], $13::text[], $14::bytea[]) AS v
ON CONFLICT (book, said) DO NOTHING
RETURNING said, id

-- name: ids_said
-- Ids of records by what they say, retracted ones too.
SELECT said, id FROM competitor_rates WHERE book = $1 AND said = ANY($2::bytea[])

-- name: known
-- Whether there is such a record.
SELECT EXISTS (SELECT FROM competitor_rates WHERE book = $1 AND id = $2)

-- name: retract
INSERT INTO competitor_rate_retractions (book, rate_id, reason, retracted_by, retracted_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, rate_id) DO NOTHING
RETURNING true

-- name: list_rates
-- The newest records seen since then that stand; of one asset, or of all.
SELECT r.id, r.competitor, r.carrier, r.product, r.face_fen, r.face_upto_fen, r.place, r.rate_ppm, r.seen_at, r.source,
    r.recorded_by, r.recorded_at
FROM competitor_rates r
LEFT JOIN competitor_rate_retractions t ON t.book = $1 AND t.rate_id = r.id
WHERE r.book = $1 AND r.seen_at >= $2 AND ($3::text IS NULL OR r.carrier = $3) AND ($4::text IS NULL OR r.product = $4)
  AND t.rate_id IS NULL
ORDER BY r.seen_at DESC, r.id DESC
LIMIT $5

-- name: record_cell
INSERT INTO matrix_cells (book, id, matrix, platform, criterion, low, high, words, source, recorded_by, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- name: list_cells
-- What staff wrote last into each cell of the matrix.
SELECT DISTINCT ON (matrix, platform, criterion) matrix, platform, criterion, low, high, words, source, recorded_by,
    recorded_at
FROM matrix_cells WHERE book = $1
ORDER BY matrix, platform, criterion, id DESC
