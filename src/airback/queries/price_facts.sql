-- What prices read of the market now.

-- name: wanted
-- What outlets want open of each carrier, and the best price bid, of outlets that orders go to now; where none of a carrier's
-- does, the best of the others still bounds prices.
SELECT carrier, coalesce(sum(open_fen) FILTER (WHERE takes), 0)::bigint AS open_fen,
       coalesce(max(price_ppm) FILTER (WHERE takes), max(price_ppm)) AS best_ppm
FROM (
    SELECT d.carrier, d.outlet, sum(d.open_fen) AS open_fen, max(d.price_ppm) AS price_ppm,
           NOT EXISTS (SELECT FROM outlet_health h
                       WHERE h.book = $1 AND h.outlet = d.outlet AND h.state = 'resting' AND h.until > $2)
           AND NOT EXISTS (SELECT FROM pauses p
                           WHERE p.book = $1 AND p.kind = 'outlet' AND p.subject = d.outlet AND p.lifted_at IS NULL
                             AND p.since <= $2 AND (p.until IS NULL OR p.until > $2)) AS takes
    FROM open_demands d WHERE d.book = $1 AND d.deadline_at > $2 GROUP BY d.carrier, d.outlet
) d
GROUP BY carrier

-- name: classes
-- Sellers whose class changed at or after $2.
SELECT client, ref, class, changed_at FROM seller_classes WHERE book = $1 AND changed_at >= $2
