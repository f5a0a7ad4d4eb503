-- What prices read of the market now.

-- name: wanted
-- What outlets want open of each carrier, and the best price bid.
SELECT carrier, sum(open_fen)::bigint AS open_fen, max(price_ppm) AS best_ppm FROM open_demands
WHERE book = $1 AND deadline_at > $2 GROUP BY carrier

-- name: classes
-- Sellers whose class changed at or after $2.
SELECT client, ref, class, changed_at FROM seller_classes WHERE book = $1 AND changed_at >= $2
