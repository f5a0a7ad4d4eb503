-- Agreements by which an order's proceeds are split: documents, never changed once approved; a later one of the same
-- scope takes its place from `effective_at` on, one without shares ends it.
CREATE TABLE split_agreements (
    book        integer NOT NULL,
    version     integer NOT NULL,
    scope       text    NOT NULL,                         -- client:<name>, channel:people, channel:files
    document    jsonb   NOT NULL,
    effective_at timestamptz NOT NULL,
    proposed_by text    NOT NULL,
    approved_by text    NOT NULL CHECK (approved_by <> proposed_by),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, version)
);

-- What finance booked that no order shows: costs of operating, and rebates that carriers paid.
CREATE TABLE operating_bookings (
    book        integer NOT NULL,
    id          bigint  NOT NULL,                         -- the subject of its posting
    line        text    NOT NULL,
    carrier     text,                                     -- whose rebate it is
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    period_from date    NOT NULL,                         -- the days it is for, both included
    period_to   date    NOT NULL CHECK (period_to >= period_from),
    source      text    NOT NULL,
    proposed_by text    NOT NULL,
    approved_by text    NOT NULL CHECK (approved_by <> proposed_by),
    booked_at   timestamptz NOT NULL,
    PRIMARY KEY (book, id)
);
CREATE INDEX operating_bookings_time ON operating_bookings (book, booked_at);

-- The rate index of each week that is over, as it was published: once, so that no two versions can be compared.
CREATE TABLE rate_index (
    book        integer NOT NULL,
    week        date    NOT NULL,                         -- its Monday in China
    document    jsonb   NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (book, week)
);
