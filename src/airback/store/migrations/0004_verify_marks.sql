-- What `verify` needs to look only at what came since its last clean run.

-- What each transfer does to an account's four sums. One that settles a pending transfer takes that one out again.
CREATE VIEW entries AS
SELECT t.book, t.debit AS account, t.created_at,
       CASE WHEN t.phase IN ('posted', 'post') THEN t.amount_fen ELSE 0 END AS debits_posted, 0::bigint AS credits_posted,
       CASE WHEN t.phase = 'pending' THEN t.amount_fen ELSE 0 END AS debits_pending, 0::bigint AS credits_pending
FROM transfers t
UNION ALL
SELECT t.book, t.credit, t.created_at,
       0, CASE WHEN t.phase IN ('posted', 'post') THEN t.amount_fen ELSE 0 END,
       0, CASE WHEN t.phase = 'pending' THEN t.amount_fen ELSE 0 END
FROM transfers t
UNION ALL
SELECT t.book, side.account, t.created_at, 0, 0, side.debits_pending, side.credits_pending
FROM transfers t
LEFT JOIN transfers p ON p.book = t.book AND p.subject = t.subject AND p.kind = t.kind AND p.leg = t.leg AND p.phase = 'pending'
CROSS JOIN LATERAL (VALUES
    (coalesce(p.debit, t.debit), -coalesce(p.amount_fen, 0), 0::bigint),
    (coalesce(p.credit, t.credit), 0::bigint, -coalesce(p.amount_fen, 0))
) AS side (account, debits_pending, credits_pending)
WHERE t.phase IN ('post', 'void');

-- Transfers are only ever appended, so that this small index leads to those written since a time.
CREATE INDEX transfers_written ON transfers USING brin (created_at);

-- Up to where a book was found clean. `seq` and `leaf` are of the log's last event then: a mark whose event is not in the
-- log any more is of another past, and not trusted.
CREATE TABLE verify_marks (
    book        integer PRIMARY KEY,
    at          timestamptz NOT NULL,                     -- when it was found clean
    since       timestamptz NOT NULL CHECK (since <= at), -- what was written from then on is looked at again
    seq         bigint  NOT NULL CHECK (seq > 0),
    leaf        bytea   NOT NULL CHECK (length(leaf) = 32),
    open_orders bigint[] NOT NULL,                        -- what was under way then, and may have changed without a trace
    open_effects bigint[] NOT NULL,
    statements  jsonb   NOT NULL                          -- by far side, from when on its statement is to be compared again
);

-- Each account's sums of what was written before `verify_marks.since`.
CREATE TABLE verify_balances (
    book        integer NOT NULL,
    account     bigint  NOT NULL,
    debits_posted   bigint NOT NULL,
    credits_posted  bigint NOT NULL,
    debits_pending  bigint NOT NULL,
    credits_pending bigint NOT NULL,
    PRIMARY KEY (book, account)
);
