-- What must always hold, asked of a live database. Each query returns what breaks its rule: (subject, detail).
-- One repeatable-read snapshot is used for all of them. $1 is the book. A parameter that bounds what is looked at (a
-- time, ids) is NULL in a full run; plans are made for the values themselves, so that such a condition costs nothing.
-- What is small whatever the book's age (accounts, what is under way) is looked at as a whole in every run.

-- name: rows_read
-- How many rows of tables this session has read and not yet reported; the difference of two is what came between.
SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint FROM pg_stat_xact_user_tables

-- name: orders_since
-- Orders to look at: with an event after number $2, with an id from $3 on, open at the mark ($4) or now.
SELECT array_agg(id ORDER BY id) FROM (
    SELECT order_id AS id FROM events WHERE book = $1 AND seq > $2 AND order_id IS NOT NULL
    UNION SELECT id FROM orders WHERE book = $1 AND id >= $3
    UNION SELECT order_id FROM work WHERE book = $1
    UNION SELECT unnest($4::bigint[])) found

-- name: payouts_since
-- Payouts to look at: of the orders $2, and those with an id from $3 on.
SELECT array_agg(id) FROM (
    SELECT payout_id AS id FROM payout_orders WHERE book = $1 AND order_id = ANY($2::bigint[])
    UNION SELECT id FROM payouts WHERE book = $1 AND id >= $3) found

-- name: effects_since
-- Effects to look at: of the orders $2, with an id from $3 on, open at the mark ($4) or now.
SELECT array_agg(id) FROM (
    SELECT id FROM effects WHERE book = $1 AND order_id = ANY($2::bigint[])
    UNION SELECT id FROM effects WHERE book = $1 AND id >= $3
    UNION SELECT effect_id FROM open_effects WHERE book = $1
    UNION SELECT unnest($4::bigint[])) found

-- name: payables_since
-- Payable accounts to look at: of the orders' ($2) sellers, and those with an entry from $3 on.
SELECT 'payable:' || seller AS code FROM orders WHERE book = $1 AND id = ANY($2::bigint[])
UNION
SELECT code FROM accounts WHERE book = $1 AND code LIKE 'payable:%'
  AND id = ANY(ARRAY(SELECT DISTINCT account FROM entries WHERE book = $1 AND created_at >= $3))

-- name: posting_joins_accounts_of_one_asset
-- 1. Both sides of every transfer are accounts of the transfer's asset, so it balances per asset.
SELECT t.kind || ':' || t.subject AS subject, 'its accounts are missing or hold another asset' AS detail
FROM transfers t
LEFT JOIN accounts d ON d.book = t.book AND d.id = t.debit
LEFT JOIN accounts c ON c.book = t.book AND c.id = t.credit
WHERE t.book = $1 AND ($2::timestamptz IS NULL OR t.created_at >= $2)
  AND (d.asset IS DISTINCT FROM t.asset OR c.asset IS DISTINCT FROM t.asset)

-- name: balance_is_the_sum_of_its_entries
-- 1. An account's four sums are those of its entries: all of them, or those it had at the mark and the entries since.
WITH sums AS (
    SELECT account AS id, sum(debits_posted) AS dp, sum(credits_posted) AS cp, sum(debits_pending) AS dn, sum(credits_pending) AS cn
    FROM (
        SELECT account, debits_posted, credits_posted, debits_pending, credits_pending
        FROM verify_balances WHERE book = $1 AND $2::timestamptz IS NOT NULL
        UNION ALL
        SELECT account, debits_posted, credits_posted, debits_pending, credits_pending
        FROM entries WHERE book = $1 AND ($2::timestamptz IS NULL OR created_at >= $2)) parts
    GROUP BY account
)
SELECT coalesce(a.code, s.id::text) AS subject,
       format('the account says %s/%s posted, %s/%s pending; its entries say %s/%s, %s/%s', a.debits_posted,
              a.credits_posted, a.debits_pending, a.credits_pending, s.dp, s.cp, s.dn, s.cn) AS detail
FROM (SELECT * FROM accounts WHERE book = $1) a FULL JOIN sums s ON s.id = a.id
WHERE coalesce(a.debits_posted, -1) <> coalesce(s.dp, 0) OR coalesce(a.credits_posted, -1) <> coalesce(s.cp, 0)
   OR coalesce(a.debits_pending, -1) <> coalesce(s.dn, 0) OR coalesce(a.credits_pending, -1) <> coalesce(s.cn, 0)

-- name: earmark_is_settled_once
-- 1. A pending transfer is posted or voided, not both, and nothing is settled that was never pending.
SELECT t.kind || ':' || t.subject AS subject,
       CASE WHEN count(*) FILTER (WHERE phase = 'pending') = 0 THEN 'settled without having been pending'
            ELSE 'both posted and voided' END AS detail
FROM transfers t WHERE t.book = $1 AND phase <> 'posted'
  AND ($2::timestamptz IS NULL OR t.subject = ANY(ARRAY(
      SELECT subject FROM transfers WHERE book = $1 AND created_at >= $2 AND phase <> 'posted')))
GROUP BY t.subject, t.kind, t.leg
HAVING count(*) FILTER (WHERE phase = 'pending') = 0 OR count(*) FILTER (WHERE phase IN ('post', 'void')) > 1

-- name: bound_holds
-- 1. A bounded account is below zero only by what a fact took, and then an alarm was raised.
SELECT a.code AS subject, format('overdrawn by %s fen without an alarm', a.overdrawn_fen) AS detail
FROM accounts a
WHERE a.book = $1 AND ((a.overdrawn_fen > 0 AND NOT EXISTS (
        SELECT FROM alarms WHERE alarms.book = $1 AND kind = 'account_overdrawn' AND alarms.subject = a.code))
    OR (a.bounded AND a.side = 'credit' AND a.debits_posted + a.debits_pending > a.credits_posted + a.overdrawn_fen)
    OR (a.bounded AND a.side = 'debit' AND a.credits_posted + a.credits_pending > a.debits_posted + a.overdrawn_fen))

-- name: clients_money_is_safeguarded
-- 2. Cash apart from our own, less what has left through rails, covers what is owed to clients, or routing has stopped.
WITH money AS (
    SELECT sum(CASE WHEN code = 'cash:safeguarded' THEN debits_posted - credits_posted
                    WHEN code LIKE 'clearing:%' THEN debits_posted - credits_posted ELSE 0 END) AS cash,
           sum(CASE WHEN split_part(code, ':', 1) = ANY($2::text[]) THEN credits_posted - debits_posted ELSE 0 END) AS owed
    FROM accounts WHERE book = $1 AND asset = 'CNY'
)
SELECT 'cash:safeguarded' AS subject, format('%s fen kept for clients, %s fen owed to them', cash, owed) AS detail
FROM money WHERE cash < owed AND NOT EXISTS (
    SELECT FROM books b JOIN alarms a ON a.book = b.book AND a.closed_at IS NULL
    WHERE b.book = $1 AND NOT b.routing)

-- name: delivered_is_within_held
-- 3. An order delivers what its fills delivered, never more than was held.
SELECT o.id::text AS subject,
       format('held %s, delivered %s, fills delivered %s', o.held_fen, o.delivered_fen, coalesce(f.sum, 0)) AS detail
FROM orders o LEFT JOIN (
    SELECT order_id, sum(delivered_fen) AS sum FROM fills
    WHERE book = $1 AND state = 'delivered' AND ($2::bigint[] IS NULL OR order_id = ANY($2)) GROUP BY order_id) f
    ON f.order_id = o.id
WHERE o.book = $1 AND ($2::bigint[] IS NULL OR o.id = ANY($2))
  AND (o.delivered_fen <> coalesce(f.sum, 0) OR (o.hold_kind <> 'none' AND o.delivered_fen > o.held_fen))

-- name: delivered_is_what_far_sides_said
-- 3. Each delivered fill has exactly one successful delivery effect, of its amount.
SELECT f.id::text AS subject, format('delivered %s by %s successful effects of %s', f.delivered_fen, count(r.*), sum(coalesce(r.amount_fen, e.amount_fen))) AS detail
FROM fills f
LEFT JOIN effects e ON e.book = f.book AND e.order_id = f.order_id AND e.fill_id = f.id AND e.kind IN ('transfer', 'redeem')
LEFT JOIN effect_results r ON r.book = e.book AND r.effect_id = e.id AND r.applied AND r.result = 'succeeded'
WHERE f.book = $1 AND ($2::bigint[] IS NULL OR f.order_id = ANY($2))
GROUP BY f.id, f.delivered_fen, f.state
HAVING (f.state = 'delivered' AND (count(r.*) <> 1 OR sum(coalesce(r.amount_fen, e.amount_fen)) FILTER (WHERE r.effect_id IS NOT NULL) < f.delivered_fen))
    OR (f.state <> 'delivered' AND count(r.*) > 0)

-- name: paid_is_within_credited
-- 3. A seller is paid what was credited, once: by payouts that were paid and not returned.
SELECT o.id::text AS subject, format('credited %s, paid %s, payouts paid %s', o.credited_fen, o.paid_fen, coalesce(p.sum, 0)) AS detail
FROM orders o LEFT JOIN (
    SELECT po.order_id, sum(po.amount_fen) AS sum FROM payout_orders po
    JOIN payouts p ON p.book = po.book AND p.id = po.payout_id AND p.state = 'paid'
    WHERE po.book = $1 AND ($2::bigint[] IS NULL OR po.order_id = ANY($2)) GROUP BY po.order_id) p ON p.order_id = o.id
WHERE o.book = $1 AND ($2::bigint[] IS NULL OR o.id = ANY($2)) AND (o.paid_fen <> coalesce(p.sum, 0) OR o.paid_fen > o.credited_fen)

-- name: payout_is_the_sum_of_its_shares
-- 3. A payout is the sum of what it pays to orders, and one that was paid has one successful effect.
SELECT p.id::text AS subject, format('%s fen, shares of %s fen, %s successful payments', p.amount_fen, s.sum, coalesce(e.n, 0)) AS detail
FROM payouts p
LEFT JOIN (SELECT payout_id, sum(amount_fen) AS sum FROM payout_orders
           WHERE book = $1 AND ($2::bigint[] IS NULL OR payout_id = ANY($2)) GROUP BY payout_id) s ON s.payout_id = p.id
LEFT JOIN (SELECT e.payout_id, count(*) AS n FROM effects e
           JOIN effect_results r ON r.book = e.book AND r.effect_id = e.id AND r.applied AND r.result = 'succeeded'
           WHERE e.book = $1 AND e.payout_id IS NOT NULL AND ($2::bigint[] IS NULL OR e.payout_id = ANY($2))
           GROUP BY e.payout_id) e ON e.payout_id = p.id
WHERE p.book = $1 AND ($2::bigint[] IS NULL OR p.id = ANY($2)) AND (p.amount_fen IS DISTINCT FROM s.sum
    OR coalesce(e.n, 0) <> CASE WHEN p.state IN ('paid', 'returned') THEN 1 ELSE 0 END)

-- name: payable_is_what_orders_say
-- 3. What the ledger owes a seller is what their orders were credited less what they were paid. $2: accounts, $3: their sellers.
SELECT a.code AS subject, format('the ledger owes %s fen, the orders %s', a.credits_posted - a.debits_posted, coalesce(o.owed, 0)) AS detail
FROM accounts a LEFT JOIN (
    SELECT 'payable:' || seller AS code, sum(credited_fen - paid_fen) AS owed FROM orders
    WHERE book = $1 AND ($3::bigint[] IS NULL OR seller = ANY($3)) GROUP BY seller) o
    ON o.code = a.code
WHERE a.book = $1 AND a.code LIKE 'payable:%' AND ($2::text[] IS NULL OR a.code = ANY($2))
  AND a.credits_posted - a.debits_posted <> coalesce(o.owed, 0)

-- name: recourse_is_what_corrections_say
-- 3. What the ledger claims of a seller is what their corrections claim less what of it was made good.
SELECT coalesce(a.code, c.code) AS subject,
       format('the ledger claims %s fen, the corrections %s', coalesce(a.claimed, 0), coalesce(c.claimed, 0)) AS detail
FROM (SELECT code, debits_posted - credits_posted AS claimed FROM accounts
      WHERE book = $1 AND code LIKE 'recourse:%' AND asset = 'CNY') a
FULL JOIN (SELECT 'recourse:' || o.seller AS code, sum(c.claim_fen - c.recovered_fen - c.written_off_fen) AS claimed
           FROM corrections c JOIN orders o ON o.book = c.book AND o.id = c.order_id
           WHERE c.book = $1 AND c.bearer = 'seller' GROUP BY o.seller) c ON c.code = a.code
WHERE coalesce(a.claimed, 0) <> coalesce(c.claimed, 0)

-- name: split_is_within_the_operators_part
-- 3. What agreements split off an order is no more than its fee and spread: nothing of it is the seller's.
SELECT t.order_id::text AS subject,
       format('%s fen were split off', sum(t.amount_fen) FILTER (WHERE t.kind = 'split')) AS detail
FROM transfers t
LEFT JOIN accounts c ON c.book = t.book AND c.id = t.credit AND c.asset = 'CNY' AND c.code IN ('fee', 'spread')
LEFT JOIN accounts d ON d.book = t.book AND d.id = t.debit AND d.asset = 'CNY' AND d.code = 'spread'
WHERE t.book = $1 AND t.kind IN ('credit', 'split') AND t.order_id IS NOT NULL AND ($2::bigint[] IS NULL OR t.order_id = ANY($2))
GROUP BY t.order_id
HAVING sum(t.amount_fen) FILTER (WHERE t.kind = 'split') > greatest(0, coalesce(sum(
    CASE WHEN c.id IS NOT NULL THEN t.amount_fen WHEN d.id IS NOT NULL THEN -t.amount_fen END) FILTER (WHERE t.kind = 'credit'), 0))

-- name: card_belongs_to_one_order
-- 3. A card that was sold keeps its claim for ever, and no other order of that card succeeded.
SELECT o.id::text AS subject,
       CASE WHEN c.order_id IS NULL THEN 'sold without a permanent claim on its code' ELSE 'the same card was sold twice' END AS detail
FROM orders o
LEFT JOIN (SELECT order_id, bool_and(expires_at IS NULL) AS kept FROM claims
           WHERE book = $1 AND kind = 'card' AND ($2::bigint[] IS NULL OR order_id = ANY($2)) GROUP BY order_id) c
    ON c.order_id = o.id
WHERE o.book = $1 AND ($2::bigint[] IS NULL OR o.id = ANY($2)) AND o.product = 'card' AND o.state IN ('delivered', 'credited', 'closed')
  AND (c.order_id IS NULL OR NOT c.kept OR EXISTS (
    SELECT FROM orders p WHERE p.book = $1 AND p.product = 'card' AND p.carrier = o.carrier
        AND p.card_number = o.card_number AND p.id <> o.id AND p.state IN ('delivered', 'credited', 'closed')))

-- name: open_order_has_a_due_time
-- 4. An order that has not ended has a time at which it is looked at again, not long past unless nobody works.
SELECT o.id::text AS subject, CASE WHEN w.order_id IS NULL THEN 'is ' || o.state || ' and nobody will look at it again'
                                   ELSE 'is ' || o.state || ' and was due at ' || w.due_at END AS detail
FROM orders o LEFT JOIN work w ON w.book = o.book AND w.order_id = o.id
WHERE o.book = $1 AND ($4::bigint[] IS NULL OR o.id = ANY($4)) AND o.state <> ALL($2::text[])
  AND (w.order_id IS NULL OR (w.due_at < $3::timestamptz - interval '1 hour' AND EXISTS (
        SELECT FROM writers wr WHERE wr.book = $1 AND wr.seen_at > $3::timestamptz - interval '1 minute')))

-- name: ended_order_has_no_work
-- 4. Open work is of orders that have not ended.
SELECT w.order_id::text AS subject, 'has ended or never was, but is still open work' AS detail
FROM work w LEFT JOIN orders o ON o.book = w.book AND o.id = w.order_id
WHERE w.book = $1 AND (o.id IS NULL OR o.state = ANY($2::text[]))

-- name: ended_order_holds_nothing
-- 4. An order that has ended has no fill, payout or effect that has not; but one whose payment came back is paid again.
SELECT o.id::text AS subject, 'has ended with something still under way' AS detail
FROM orders o WHERE o.book = $1 AND ($3::bigint[] IS NULL OR o.id = ANY($3)) AND o.state = ANY($2::text[]) AND (
    EXISTS (SELECT FROM fills f WHERE f.book = $1 AND f.order_id = o.id AND f.state IN ('reserved', 'delivering'))
    OR EXISTS (SELECT FROM payout_orders po JOIN payouts p ON p.book = po.book AND p.id = po.payout_id
               WHERE po.book = $1 AND po.order_id = o.id AND p.state IN ('planned', 'sent', 'awaiting_seller')
                 AND NOT (o.state = 'closed' AND o.paid_fen < o.credited_fen)))

-- name: unresolved_payout_has_an_effect
-- 4. A payout under way has an effect under way.
SELECT p.id::text AS subject, 'is ' || p.state || ' with no effect under way' AS detail
FROM payouts p WHERE p.book = $1 AND ($2::bigint[] IS NULL OR p.id = ANY($2)) AND p.state IN ('planned', 'sent', 'awaiting_seller') AND NOT EXISTS (
    SELECT FROM effects e JOIN open_effects o ON o.book = e.book AND o.effect_id = e.id
    WHERE e.book = p.book AND e.payout_id = p.id)

-- name: effect_is_final_or_asked_about
-- 5. Every effect has a final result, or stands among the open ones with a next question; never both.
SELECT e.ref AS subject, CASE WHEN o.effect_id IS NULL THEN 'has no final result and no next question'
                              ELSE 'has a final result and is still asked about' END AS detail
FROM effects e
LEFT JOIN open_effects o ON o.book = e.book AND o.effect_id = e.id
LEFT JOIN LATERAL (SELECT r.result FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) last ON true
WHERE e.book = $1 AND ($2::bigint[] IS NULL OR e.id = ANY($2)) AND ((o.effect_id IS NULL) <> (coalesce(last.result, '') IN ('succeeded', 'failed', 'reversed')))

-- name: open_effect_exists
-- 5. What is asked about was journalled.
SELECT o.effect_id::text AS subject, 'is asked about but not in the journal' AS detail
FROM open_effects o LEFT JOIN effects e ON e.book = o.book AND e.id = o.effect_id
WHERE o.book = $1 AND e.id IS NULL

-- name: reference_was_used_once
-- 5. No reference stands for two requests.
SELECT ref AS subject, format('stands for %s requests', count(*)) AS detail
FROM effects
WHERE book = $1 AND ($2::bigint[] IS NULL OR ref = ANY(ARRAY(SELECT ref FROM effects WHERE book = $1 AND id = ANY($2))))
GROUP BY ref HAVING count(*) > 1

-- name: credited_orders
-- 6. Orders that were credited, for the check of their quotes; what of their payments came back and is owed again.
SELECT o.id, o.quote, o.delivered_fen, o.credited_fen, o.net_fen, o.paid_fen, o.state, (r.order_id IS NOT NULL) AS receipted,
       (SELECT coalesce(sum(c.amount_fen), 0) FROM corrections c WHERE c.book = $1 AND c.order_id = o.id
        AND c.kind = 'payment_returned' AND c.closed_at IS NULL) AS returned_fen,
       (SELECT sum(t.amount_fen) FROM transfers t WHERE t.book = $1 AND t.order_id = o.id AND t.kind = 'credit'
        AND t.phase = 'posted' AND t.credit = (SELECT id FROM accounts a WHERE a.book = $1 AND a.code = 'payable:' || o.seller AND a.asset = 'CNY')) AS posted_fen
FROM orders o LEFT JOIN receipts r ON r.book = o.book AND r.order_id = o.id
WHERE o.book = $1 AND o.id > $2 AND ($4::bigint[] IS NULL OR o.id = ANY($4)) AND (o.credited_fen > 0 OR o.state IN ('credited', 'closed'))
ORDER BY o.id LIMIT $3

-- name: offer_became_one_order
-- 6. An offer that was met is one order of its seller, of its number and face, and nets no less than was asked.
SELECT f.id::text AS subject,
       CASE WHEN o.id IS NULL THEN 'met without an order' ELSE 'its order is not what was offered' END AS detail
FROM offers f LEFT JOIN orders o ON o.book = f.book AND o.id = f.order_id
WHERE f.book = $1 AND f.state = 'met' AND ($2::bigint[] IS NULL OR f.order_id = ANY($2))
  AND (o.id IS NULL OR o.seller <> f.seller OR o.number <> f.number OR o.face_fen <> f.face_fen
       OR (coalesce(o.first_quote, o.quote) ->> 'net_fen')::bigint < f.net_fen)

-- name: event_sequence_has_no_gap
-- 7. Sequence numbers run from 1, or from the mark's on, without a gap.
SELECT 'events' AS subject, format('%s events after number %s up to number %s', count(*), $2::bigint, max(seq)) AS detail
FROM events WHERE book = $1 AND seq > $2 HAVING count(*) <> coalesce(max(seq), $2) - $2

-- name: leaf_is_the_hash_of_its_body
-- 7. A stored leaf is the hash of its salt and body, unless both were erased.
SELECT seq::text AS subject, 'its leaf is not the hash of its salt and body' AS detail
FROM events WHERE book = $1 AND seq > $2 AND salt IS NOT NULL
  AND leaf <> sha256('\x0001'::bytea || sha256(salt || body))

-- name: executed_effects
-- 8. What we hold to have been executed at a far side, and what is still open there: with an id from $3 on, or named in $4.
SELECT e.ref, e.at, coalesce(r.at, e.at) AS answered_at, e.kind, e.far_side, o.hold_kind, coalesce(r.amount_fen, e.amount_fen) AS amount_fen, coalesce(r.result, 'open') AS result
FROM effects e
LEFT JOIN orders o ON o.book = e.book AND o.id = e.order_id
LEFT JOIN LATERAL (SELECT result, amount_fen, at FROM effect_results r
                   WHERE r.book = $1 AND r.effect_id = e.id AND r.applied ORDER BY r.n DESC LIMIT 1) r ON true
WHERE e.book = $1 AND e.kind IN ('hold', 'transfer', 'redeem', 'release', 'pay') AND e.far_side = $2
  AND ($3::bigint IS NULL OR e.id >= $3 OR e.ref = ANY($4::text[]))

-- name: far_sides
-- 8. Far sides that effects went to, but for those that are only asked or told something, with the time of the first;
-- found by jumping from one to the next in an index.
WITH RECURSIVE sides AS (
    (SELECT far_side FROM effects WHERE book = $1 ORDER BY far_side LIMIT 1)
    UNION ALL
    SELECT (SELECT e.far_side FROM effects e WHERE e.book = $1 AND e.far_side > s.far_side ORDER BY e.far_side LIMIT 1)
    FROM sides s WHERE s.far_side IS NOT NULL
)
SELECT far_side, (SELECT e.at FROM effects e WHERE e.book = $1 AND e.far_side = s.far_side ORDER BY e.at LIMIT 1) AS since
FROM sides s WHERE far_side <> 'subscribers' AND far_side NOT LIKE 'messenger:%' AND far_side NOT LIKE 'outlet:%' ORDER BY far_side

-- name: oldest_open
-- 8. What is still open at each far side was sent from when on.
SELECT e.far_side, min(e.at) AS at FROM open_effects o JOIN effects e ON e.book = o.book AND e.id = o.effect_id
WHERE o.book = $1 GROUP BY e.far_side

-- name: explained_differences
-- 8. Differences that are explained: somebody's work, or resolved by two people.
SELECT reference AS subject FROM breaks WHERE book = $1 AND reference IS NOT NULL
UNION
SELECT subject FROM alarms WHERE book = $1 AND kind IN ('done_after_failure', 'failed_after_success') AND closed_at IS NULL
