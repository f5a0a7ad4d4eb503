-- What each seller closed, by day in China: the volume that published classes go by. Counted from the log of events.
CREATE TABLE seller_days (
    book        integer NOT NULL,
    seller      bigint  NOT NULL,
    day         date    NOT NULL,
    orders      integer NOT NULL CHECK (orders > 0),
    face_fen    bigint  NOT NULL CHECK (face_fen > 0),
    PRIMARY KEY (book, seller, day)
);

-- Up to which event it was counted, and for which day and rate card all sellers were classed last.
CREATE TABLE seller_counts (
    book        integer PRIMARY KEY,
    seq         bigint  NOT NULL DEFAULT 0 CHECK (seq >= 0),
    day         date,
    card_version integer
);

-- Sellers who are, or once were, above the lowest class; whoever has no row is in the lowest.
CREATE TABLE seller_classes (
    book        integer NOT NULL,
    client      text    NOT NULL,
    ref         text    NOT NULL,
    seller      bigint  NOT NULL,
    class       text    NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (book, client, ref)
);
CREATE INDEX seller_classes_changed ON seller_classes (book, changed_at);
