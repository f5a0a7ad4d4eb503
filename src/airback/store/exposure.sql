-- Face value in live quotes, as each process of the API has counted it.

-- name: publish
-- What this process has counted, in order of the key so that nothing waits crosswise.
INSERT INTO live_exposure AS known (book, process, subject, until, fen)
SELECT $1, $2, o.subject, o.until, o.fen
FROM unnest($3::text[], $4::timestamptz[], $5::bigint[]) AS o (subject, until, fen)
ORDER BY o.subject, o.until
ON CONFLICT (book, process, subject, until) DO UPDATE SET fen = excluded.fen

-- name: others
-- What the other processes have counted and what has not expired.
SELECT subject, sum(fen)::bigint AS fen FROM live_exposure
WHERE book = $1 AND process <> $2 AND until > $3
GROUP BY subject

-- name: forget
-- What has expired, of this process and of any that ended without doing it.
DELETE FROM live_exposure WHERE book = $1 AND until <= $2

-- name: room
-- Whether there are outlets, and what the operator's own float has left.
SELECT EXISTS (SELECT FROM outlets WHERE book = $1 AND NOT house) AS outlets,
    coalesce((SELECT credits_posted - debits_posted - debits_pending FROM accounts WHERE book = $1 AND id = $2), 0) AS float_fen
