-- name: account
-- One account's sums.
SELECT debits_posted, credits_posted, debits_pending, credits_pending FROM accounts
WHERE book = $1 AND code = $2 AND asset = $3

-- name: owed_to_sellers
-- What is owed to the sellers of a client, and what is kept for them.
SELECT coalesce(sum(a.credits_posted - a.debits_posted) FILTER (WHERE a.code = 'payable:' || p.id), 0)::bigint AS payable_fen,
       coalesce(sum(a.credits_posted - a.debits_posted) FILTER (WHERE a.code = 'stored:' || p.id), 0)::bigint AS stored_fen,
       coalesce(sum(a.debits_pending), 0)::bigint AS under_way_fen
FROM parties p
JOIN accounts a ON a.book = p.book AND a.asset = 'CNY' AND a.code IN ('payable:' || p.id, 'stored:' || p.id)
WHERE p.book = $1 AND p.client = $2 AND ($3::text IS NULL OR p.ref = $3)
