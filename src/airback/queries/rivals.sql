-- name: delivered
-- What was delivered since then: sellers, face value, and half of how long it took from order to money.
SELECT count(DISTINCT seller) AS sellers, coalesce(sum(delivered_fen), 0)::bigint AS delivered_fen,
    (percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM closed_at - submitted_at)::bigint))::bigint AS median_s
FROM orders WHERE book = $1 AND id >= $2 AND state = 'closed'

-- name: sellers
-- Sellers on record.
SELECT count(*) FROM parties WHERE book = $1
