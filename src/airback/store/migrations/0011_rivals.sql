-- What the market pays: competitors' rates as they were seen, cells of the comparison matrix, carriers' promotions, and
-- the caps on our own prices that follow from those.

-- Append-only: a wrong record is followed by a right one, or is retracted. `said` is a digest of what the record says,
-- so that the same word from the same place is kept once.
CREATE TABLE competitor_rates (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    competitor  text    NOT NULL CHECK (competitor <> ''),
    carrier     text    NOT NULL,
    product     text    NOT NULL CHECK (product IN ('balance', 'card')),
    face_fen    bigint  CHECK (face_fen > 0),             -- the least face it holds for; NULL: any
    face_upto_fen bigint,                                 -- the most, inclusive
    place       text,                                     -- GB/T 2260; NULL: everywhere
    rate_ppm    integer NOT NULL CHECK (rate_ppm BETWEEN 1 AND 1000000), -- what a seller gets, ppm of face
    seen_at     timestamptz NOT NULL,
    source      text    NOT NULL CHECK (source <> ''),    -- where it was seen
    recorded_by text    NOT NULL,
    recorded_at timestamptz NOT NULL,
    said        bytea   NOT NULL CHECK (length(said) = 32),
    PRIMARY KEY (book, id),
    UNIQUE (book, said),
    CHECK ((face_fen IS NULL) = (face_upto_fen IS NULL)),
    CHECK (face_upto_fen >= face_fen)
);
CREATE INDEX competitor_rates_seen ON competitor_rates (book, seen_at);

CREATE TABLE competitor_rate_retractions (
    book        integer NOT NULL,
    rate_id     bigint  NOT NULL,
    reason      text    NOT NULL CHECK (reason <> ''),
    retracted_by text   NOT NULL,
    retracted_at timestamptz NOT NULL,
    PRIMARY KEY (book, rate_id)
);

-- Cells of the comparison matrix that staff wrote; of one cell the last counts, and one without a value takes back.
CREATE TABLE matrix_cells (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    matrix      text    NOT NULL,
    platform    text    NOT NULL CHECK (platform <> ''),
    criterion   text    NOT NULL,
    low         bigint,                                   -- in the criterion's unit
    high        bigint,
    words       text,
    source      text    NOT NULL CHECK (source <> ''),
    recorded_by text    NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (book, id),
    CHECK (low <= high)
);
CREATE INDEX matrix_cells_last ON matrix_cells (book, matrix, platform, criterion, id DESC);

-- A carrier sells its own airtime below face value for a time. `leaves_ppm`: what a trader may keep of face value at
-- most; `per_seller_fen_per_day`: what one seller may sell us of it in a day (China's) once that pays.
CREATE TABLE carrier_promotions (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    carrier     text    NOT NULL,
    product     text    NOT NULL CHECK (product IN ('balance', 'card')),
    buy_ppm     integer NOT NULL CHECK (buy_ppm BETWEEN 1 AND 1000000),
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    per_account_fen bigint CHECK (per_account_fen > 0),   -- what the carrier sells one account; NULL: not known
    leaves_ppm  integer NOT NULL CHECK (leaves_ppm BETWEEN 0 AND 1000000),
    per_seller_fen_per_day bigint CHECK (per_seller_fen_per_day > 0),
    source      text    NOT NULL CHECK (source <> ''),
    recorded_by text    NOT NULL,
    recorded_at timestamptz NOT NULL,
    withdrawn_by text,
    withdrawn_reason text,
    withdrawn_at timestamptz,
    PRIMARY KEY (book, id),
    CHECK (until > since)
);
CREATE INDEX carrier_promotions_until ON carrier_promotions (book, until);

-- Caps that count from `since` until `until`, one for each promotion. `most_ppm` bounds the gross rate: what is paid of
-- face value before fee and cost of payment.
CREATE TABLE price_caps (
    book        integer NOT NULL,
    promotion   bigint  NOT NULL,
    carrier     text    NOT NULL,
    product     text    NOT NULL CHECK (product IN ('balance', 'card')),
    most_ppm    integer NOT NULL CHECK (most_ppm BETWEEN 0 AND 1000000),
    per_seller_fen_per_day bigint CHECK (per_seller_fen_per_day > 0),
    reason      text    NOT NULL,
    since       timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    set_at      timestamptz NOT NULL,
    overridden_by text,                                   -- who approved other figures than the watch's
    PRIMARY KEY (book, promotion),
    CHECK (until > since)
);
