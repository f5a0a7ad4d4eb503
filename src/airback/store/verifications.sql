-- name: begin
-- Take the right to send a code to a number: not within the pause after the last, not beyond the day's number.
INSERT INTO verifications AS v (book, number, id, client, sent_at, counted_since, sends)
VALUES ($1, $2, $3, $4, $5, $5, 1)
ON CONFLICT (book, number) DO UPDATE SET
    id = excluded.id, client = excluded.client, authentication_id = NULL, sent_at = excluded.sent_at, checks = 0,
    counted_since = CASE WHEN v.counted_since <= $7 THEN excluded.sent_at ELSE v.counted_since END,
    sends = CASE WHEN v.counted_since <= $7 THEN 1 ELSE v.sends + 1 END
WHERE v.sent_at <= $6 AND (v.sends < $8 OR v.counted_since <= $7)
RETURNING id

-- name: last_sent
-- When the last code was sent to a number.
SELECT sent_at FROM verifications WHERE book = $1 AND number = $2

-- name: sent
-- The carrier sent the code.
UPDATE verifications SET authentication_id = $3 WHERE book = $1 AND id = $2

-- name: not_sent
-- No code left, so it does not count: another may be asked for at once.
UPDATE verifications SET sent_at = $3, sends = greatest(sends - 1, 0) WHERE book = $1 AND id = $2

-- name: take_check
-- Take one of the tries to give the code. Nothing comes back when none is left, or it lapsed, or it is not known.
UPDATE verifications SET checks = checks + 1
WHERE book = $1 AND id = $2 AND client = $3 AND authentication_id IS NOT NULL AND sent_at > $4 AND checks < $5
RETURNING number, authentication_id

-- name: find
-- One verification of a client.
SELECT number, authentication_id, sent_at, checks FROM verifications WHERE book = $1 AND id = $2 AND client = $3

-- name: give_check_back
-- The carrier could not be asked: the try does not count.
UPDATE verifications SET checks = greatest(checks - 1, 0) WHERE book = $1 AND id = $2

-- name: used
-- The code was right, or is void: it is never asked about again.
UPDATE verifications SET authentication_id = NULL WHERE book = $1 AND id = $2
