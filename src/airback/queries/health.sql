-- name: writer_seen
-- When the book's writer was last at work.
SELECT seen_at FROM writers WHERE book = $1
