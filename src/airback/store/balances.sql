-- name: free_deposit
-- What an outlet's deposit leaves for new demands: balance − earmarked − what its open demands would cost.
SELECT
    coalesce((SELECT credits_posted - debits_posted - debits_pending FROM accounts WHERE book = $1 AND id = $3), 0)
    - coalesce((SELECT sum(open_fen * price_ppm / 1000000) FROM open_demands WHERE book = $1 AND outlet = $2), 0)

-- name: demanded
-- What an outlet's open demands would cost, rounded as a fill is.
SELECT coalesce(sum(open_fen * price_ppm / 1000000), 0)::bigint FROM open_demands WHERE book = $1 AND outlet = $2
