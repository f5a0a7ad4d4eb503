-- name: standing
-- Pauses that nobody has lifted and that have not run out at $2, the oldest first.
SELECT id, kind, subject, reason_zh, reason_en, since, until FROM pauses
WHERE book = $1 AND lifted_at IS NULL AND (until IS NULL OR until > $2) ORDER BY id

-- name: insert
INSERT INTO pauses (book, id, kind, subject, reason_zh, reason_en, since, until, begun_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: lift
-- Two people let it go on. By the book's writer.
UPDATE pauses SET lifted_at = $3, lifted_by = $4 WHERE book = $1 AND id = $2 AND lifted_at IS NULL

-- name: past
-- Pauses that have ended, the last first.
SELECT id, kind, subject, reason_zh, reason_en, since, until, begun_by, lifted_at, lifted_by FROM pauses
WHERE book = $1 AND (lifted_at IS NOT NULL OR until <= $2) ORDER BY id DESC LIMIT $3

-- name: get
-- One pause, whether it stands or not.
SELECT id, kind, subject, reason_zh, reason_en, since, until, begun_by, lifted_at, lifted_by FROM pauses
WHERE book = $1 AND id = $2
