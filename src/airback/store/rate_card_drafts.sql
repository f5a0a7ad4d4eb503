-- name: insert_draft
INSERT INTO rate_card_drafts (book, id, name, based_on, document, created_by, created_at, changed_by, changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7)

-- name: get_draft
-- One draft, with where the last proposal made of it stands.
SELECT d.id, d.name, d.based_on, d.revision, d.document, d.created_by, d.created_at, d.changed_by, d.changed_at,
       d.proposal, d.discarded_at, p.decision, p.expires_at
FROM rate_card_drafts d LEFT JOIN proposals p ON p.book = d.book AND p.id = d.proposal
WHERE d.book = $1 AND d.id = $2

-- name: list_drafts
-- Drafts that are not discarded and not published, the last changed first.
SELECT d.id, d.name, d.based_on, d.revision, d.document, d.created_by, d.created_at, d.changed_by, d.changed_at,
       d.proposal, d.discarded_at, p.decision, p.expires_at
FROM rate_card_drafts d LEFT JOIN proposals p ON p.book = d.book AND p.id = d.proposal
WHERE d.book = $1 AND d.discarded_at IS NULL AND p.decision IS DISTINCT FROM 'approved'
ORDER BY d.changed_at DESC, d.id DESC LIMIT $2

-- name: save_draft
-- Only over the revision that whoever saves has seen, and while no proposal of it is open or approved.
UPDATE rate_card_drafts d
SET name = $4, document = $5, revision = d.revision + 1, changed_by = $6, changed_at = $7
WHERE d.book = $1 AND d.id = $2 AND d.revision = $3 AND d.discarded_at IS NULL AND NOT EXISTS (
    SELECT FROM proposals p WHERE p.book = $1 AND p.id = d.proposal
       AND (p.decision = 'approved' OR (p.decision IS NULL AND p.expires_at > $7)))
RETURNING d.revision

-- name: discard_draft
UPDATE rate_card_drafts d SET discarded_at = $4, changed_by = $5, changed_at = $4, revision = d.revision + 1
WHERE d.book = $1 AND d.id = $2 AND d.revision = $3 AND d.discarded_at IS NULL AND NOT EXISTS (
    SELECT FROM proposals p WHERE p.book = $1 AND p.id = d.proposal
       AND (p.decision = 'approved' OR (p.decision IS NULL AND p.expires_at > $4)))
RETURNING d.revision

-- name: mark_proposed
-- The revision that was proposed is the one that was read; two proposals at once find it once.
UPDATE rate_card_drafts d SET proposal = $4, revision = d.revision + 1, changed_by = $5, changed_at = $6
WHERE d.book = $1 AND d.id = $2 AND d.revision = $3 AND d.discarded_at IS NULL AND NOT EXISTS (
    SELECT FROM proposals p WHERE p.book = $1 AND p.id = d.proposal
       AND (p.decision = 'approved' OR (p.decision IS NULL AND p.expires_at > $6)))
RETURNING d.revision
