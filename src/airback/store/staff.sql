-- name: insert_staff
-- A new member of staff; no row comes back when the name is taken.
INSERT INTO staff (book, name, password, roles, created_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, name) DO NOTHING
RETURNING name

-- name: list_staff
-- Everybody, those who may sign in first; with the time each was last seen.
SELECT s.name, s.roles, s.created_at, s.disabled_at, s.failures, s.locked_until,
       (SELECT max(x.seen_at) FROM sessions x WHERE x.book = $1 AND x.name = s.name) AS seen_at
FROM staff s WHERE s.book = $1
ORDER BY s.disabled_at IS NOT NULL, s.name

-- name: count_attempt
-- Take one attempt before the password is looked at, so that guesses sent at once cannot share one. The wrong
-- ones so far decide the pause, $4[n] seconds after the n-th. No row: unknown, disabled or paused.
UPDATE staff
SET failures = least(failures + 1, 1000),
    locked_until = CASE
        WHEN ($4::integer[])[least(failures + 1, cardinality($4::integer[]))] = 0 THEN NULL
        ELSE $3::timestamptz
             + make_interval(secs => ($4::integer[])[least(failures + 1, cardinality($4::integer[]))])
    END
WHERE book = $1 AND name = $2 AND disabled_at IS NULL AND (locked_until IS NULL OR locked_until <= $3)
RETURNING password, roles

-- name: forgive_attempts
-- The right password came: forget the wrong ones, and keep a password sealed with today's parameters if given.
UPDATE staff SET failures = 0, locked_until = NULL, password = coalesce($3, password)
WHERE book = $1 AND name = $2 AND disabled_at IS NULL AND password = $4
RETURNING name

-- name: disable_staff
UPDATE staff SET disabled_at = $3
WHERE book = $1 AND name = $2 AND disabled_at IS NULL
RETURNING roles

-- name: count_other_administrators
-- How many people besides $2 may still manage accounts. Their rows are locked until the transaction ends, so that
-- two administrators cannot disable each other at once.
SELECT count(*) FROM (
    SELECT name FROM staff
    WHERE book = $1 AND disabled_at IS NULL AND 'administrator' = ANY (roles)
    ORDER BY name FOR UPDATE
) administrators
WHERE name <> $2

-- name: insert_session
INSERT INTO sessions (book, token_hash, name, csrf, created_at, seen_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $5, $6)

-- name: get_session
-- A session that still stands: neither idle nor old, of somebody who may still sign in.
SELECT x.name, x.csrf, x.created_at, x.seen_at, x.expires_at, s.roles
FROM sessions x JOIN staff s ON s.book = x.book AND s.name = x.name
WHERE x.book = $1 AND x.token_hash = $2
  AND x.expires_at > $3 AND x.seen_at > $3::timestamptz - $4::interval AND s.disabled_at IS NULL

-- name: touch_session
-- At most once a minute: a page that polls does not rewrite the row each time.
UPDATE sessions SET seen_at = $3::timestamptz
WHERE book = $1 AND token_hash = $2 AND seen_at < $3::timestamptz - interval '1 minute'

-- name: delete_session
DELETE FROM sessions WHERE book = $1 AND token_hash = $2

-- name: delete_sessions_of
-- Every session of a person but one ($3, or none).
DELETE FROM sessions WHERE book = $1 AND name = $2 AND token_hash IS DISTINCT FROM $3

-- name: delete_dead_sessions
DELETE FROM sessions WHERE book = $1 AND (expires_at <= $2 OR seen_at <= $2::timestamptz - $3::interval)
