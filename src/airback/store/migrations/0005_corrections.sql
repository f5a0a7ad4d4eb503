-- What was made good of a correction; it stays open (`closed_at`) while anything is left.
ALTER TABLE corrections
    ADD COLUMN recovered_fen   bigint NOT NULL DEFAULT 0 CHECK (recovered_fen >= 0),
    ADD COLUMN written_off_fen bigint NOT NULL DEFAULT 0 CHECK (written_off_fen >= 0),
    ADD CONSTRAINT corrections_settled_check
        CHECK (recovered_fen + written_off_fen <= CASE bearer WHEN 'seller' THEN claim_fen ELSE amount_fen END);

CREATE INDEX corrections_open ON corrections (book, opened_at) WHERE closed_at IS NULL;
CREATE INDEX corrections_closed ON corrections (book, closed_at) WHERE closed_at IS NOT NULL;
