-- Rate cards that somebody works on. Nothing is priced by a draft: what is proposed of it is a copy.
CREATE TABLE rate_card_drafts (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    name        text    NOT NULL,
    based_on    integer,                                  -- the version it was started from; NULL: a document that was given
    revision    integer NOT NULL DEFAULT 1 CHECK (revision > 0), -- counts changes: whoever saves names the one they saw
    document    jsonb   NOT NULL,
    created_by  text    NOT NULL,
    created_at  timestamptz NOT NULL,
    changed_by  text    NOT NULL,
    changed_at  timestamptz NOT NULL,
    proposal    bigint,                                   -- the last one that was made of it
    discarded_at timestamptz,
    PRIMARY KEY (book, id)
);

-- The proposal that published it: why, besides who and when. NULL for what was published before.
ALTER TABLE rate_cards ADD COLUMN proposal bigint;
