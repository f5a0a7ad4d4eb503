-- Sellers' own prices: airtime that waits in the book until a demand meets it. Nothing is held for it.
CREATE TABLE offers (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    client      text    NOT NULL,
    client_ref  text,
    seller      bigint  NOT NULL,
    seller_ref  text    NOT NULL,
    carrier     text    NOT NULL,
    number      text    NOT NULL,
    province    text,
    expires_on  date,                                     -- the number's validity, as its carrier said
    face_fen    bigint  NOT NULL CHECK (face_fen > 0),
    net_fen     bigint  NOT NULL CHECK (net_fen > 0),     -- the least the seller wants to receive
    net_ppm     integer NOT NULL CHECK (net_ppm > 0),     -- the same of face value, by which offers are ordered
    rail        text    NOT NULL,
    payee       bytea   NOT NULL,                         -- {account, name}, sealed
    notify_number text,
    language    text    NOT NULL,
    agreement   text    NOT NULL,                         -- version of the agreement that was accepted
    proved_at   timestamptz NOT NULL,                     -- when the number was proved to be the seller's
    deadline_at timestamptz NOT NULL,
    state       text    NOT NULL CHECK (state IN ('resting', 'met', 'withdrawn', 'expired')),
    order_id    bigint,                                   -- what it became when it was met
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (book, id),
    CHECK ((state = 'met') = (order_id IS NOT NULL))
) WITH (fillfactor = 60);
-- Price, then time.
CREATE INDEX offers_resting ON offers (book, carrier, net_ppm, id) WHERE state = 'resting';
CREATE INDEX offers_deadline ON offers (book, deadline_at) WHERE state = 'resting';
CREATE UNIQUE INDEX offers_number ON offers (book, client, number) WHERE state = 'resting';
CREATE UNIQUE INDEX offers_order ON offers (book, order_id) WHERE order_id IS NOT NULL;
CREATE UNIQUE INDEX offers_client_ref ON offers (book, client, client_ref) WHERE client_ref IS NOT NULL;
CREATE INDEX offers_client ON offers (book, client, seller_ref, id);
