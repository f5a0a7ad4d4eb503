-- name: append
-- One letter for the book's writer.
INSERT INTO inbox (book, kind, order_id, ref, body, at) VALUES ($1, $2, $3, $4, $5, $6)
