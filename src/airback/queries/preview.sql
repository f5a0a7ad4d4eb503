-- name: past_orders
-- A page of the orders accepted from id $2 to below id $3, the newest first, with what each one's delivered parts paid.
-- An order's quote is text here: it is read where it is priced again. $5 is the outlet that is the operator itself.
SELECT o.id, o.state, o.code, o.credited_fen > 0 AS sold, o.quote::text AS quote, o.first_quote::text AS first_quote,
       coalesce(f.outlets_pay_fen, 0)::bigint AS outlets_pay_fen, f.least_ppm,
       coalesce(f.house_face_fen, 0)::bigint AS house_face_fen, coalesce(f.house_pays_fen, 0)::bigint AS house_pays_fen
FROM orders o
LEFT JOIN LATERAL (
    SELECT sum(pays_fen) FILTER (WHERE outlet <> $5) AS outlets_pay_fen, min(price_ppm) FILTER (WHERE outlet <> $5) AS least_ppm,
           sum(delivered_fen) FILTER (WHERE outlet = $5) AS house_face_fen, sum(pays_fen) FILTER (WHERE outlet = $5) AS house_pays_fen
    FROM fills WHERE fills.book = $1 AND fills.order_id = o.id AND fills.state = 'delivered'
) f ON true
WHERE o.book = $1 AND o.id >= $2 AND o.id < $3 ORDER BY o.id DESC LIMIT $4
