-- name: index_of
-- The index of a week, or without one the latest.
SELECT week, document, published_at FROM rate_index
WHERE book = $1 AND ($2::date IS NULL OR week = $2) ORDER BY week DESC LIMIT 1

-- name: weeks
-- Weeks that have an index, the latest first.
SELECT week FROM rate_index WHERE book = $1 ORDER BY week DESC LIMIT $2
