-- name: insert_proposal
INSERT INTO proposals (book, id, action, subject, before, after, reason, proposed_by, proposed_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- name: get_proposal
SELECT id, action, subject, before, after, reason, proposed_by, proposed_at, expires_at,
       decision, decided_by, decided_at, decision_reason
FROM proposals WHERE book = $1 AND id = $2

-- name: decide_proposal
-- The one place a decision is written. Of two people who decide at once, the second finds no row.
UPDATE proposals
SET decision = $3, decided_by = $4, decided_at = $5, decision_reason = $6
WHERE book = $1 AND id = $2 AND decision IS NULL AND expires_at > $5 AND proposed_by <> $4
RETURNING id, action, subject, before, after, reason, proposed_by, proposed_at, expires_at,
          decision, decided_by, decided_at, decision_reason

-- name: open_proposals
-- Undecided and not expired, those that expire first at the top.
SELECT id, action, subject, before, after, reason, proposed_by, proposed_at, expires_at,
       decision, decided_by, decided_at, decision_reason
FROM proposals WHERE book = $1 AND decision IS NULL AND expires_at > $2
ORDER BY expires_at, id LIMIT $3

-- name: past_proposals
-- Decided or expired, the newest first, below a cursor.
SELECT id, action, subject, before, after, reason, proposed_by, proposed_at, expires_at,
       decision, decided_by, decided_at, decision_reason
FROM proposals WHERE book = $1 AND (decision IS NOT NULL OR expires_at <= $2) AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4

-- name: count_open_proposals
SELECT count(*) FROM proposals WHERE book = $1 AND decision IS NULL AND expires_at > $2
