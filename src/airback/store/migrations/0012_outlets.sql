-- What outlets agreed to, what is paused, where they are told, and what they bid for without end.

-- An outlet's terms: documents, never changed once approved. The one in force is the last whose time has come.
CREATE TABLE outlet_terms (
    book        integer NOT NULL,
    outlet      text    NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    document    jsonb   NOT NULL,
    effective_at timestamptz NOT NULL,
    proposed_by text    NOT NULL,
    approved_by text    NOT NULL CHECK (approved_by <> proposed_by),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, outlet, version)
);

-- What is not bought, served or paid out for a while. One person begins a pause, two lift it. All of buying at once is
-- `books.routing`.
CREATE TABLE pauses (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    kind        text    NOT NULL CHECK (kind IN ('carrier', 'province', 'outlet', 'rail')),
    subject     text    NOT NULL,
    reason_zh   text    NOT NULL CHECK (reason_zh <> ''),
    reason_en   text    NOT NULL CHECK (reason_en <> ''),
    since       timestamptz NOT NULL,
    until       timestamptz CHECK (until > since),        -- NULL: until two people lift it
    begun_by    text    NOT NULL,
    lifted_at   timestamptz,
    lifted_by   text,                                     -- the public id of the proposal that lifted it
    PRIMARY KEY (book, id),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE INDEX pauses_standing ON pauses (book, kind, subject) WHERE lifted_at IS NULL;

-- Where an outlet wants to be told of fills and prices. `secret` signs what is sent; it is sealed.
CREATE TABLE outlet_hooks (
    book        integer NOT NULL,
    outlet      text    NOT NULL,
    url         text    NOT NULL CHECK (length(url) <= 500),
    secret      bytea   NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, outlet)
);

-- A price that stands for any number of orders, until withdrawn: demands are made from it as they are used up.
CREATE TABLE standing_bids (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    outlet      text    NOT NULL,
    client_ref  text,
    carrier     text    NOT NULL,
    numbers     text[]  NOT NULL CHECK (cardinality(numbers) > 0),
    price_ppm   integer NOT NULL CHECK (price_ppm BETWEEN 1 AND 1000000),
    order_fen   bigint  NOT NULL CHECK (order_fen > 0),   -- what each of its numbers takes at a time
    daily_fen   bigint  NOT NULL CHECK (daily_fen >= order_fen),
    total_fen   bigint  CHECK (total_fen >= order_fen),   -- NULL: as long as it stands
    speed       text    NOT NULL CHECK (speed IN ('fast', 'slow')),
    created_at  timestamptz NOT NULL,
    withdrawn_at timestamptz,
    PRIMARY KEY (book, id)
);
CREATE INDEX standing_bids_standing ON standing_bids (book, outlet) WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX standing_bids_client_ref ON standing_bids (book, outlet, client_ref) WHERE client_ref IS NOT NULL;

-- The standing bid that a demand was made from.
ALTER TABLE demands ADD COLUMN bid_id bigint;
CREATE INDEX demands_bid ON demands (book, bid_id, created_at) WHERE bid_id IS NOT NULL;
