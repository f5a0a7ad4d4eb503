-- What accepting orders, asking for codes and reading by client need beside the foundation.

CREATE INDEX claims_order ON claims (book, order_id);

CREATE INDEX orders_client ON orders (book, client, id);
CREATE INDEX orders_number ON orders (book, number, id) WHERE number IS NOT NULL;
CREATE INDEX orders_card_number ON orders (book, card_number, id) WHERE card_number IS NOT NULL;

CREATE INDEX demands_outlet ON demands (book, outlet, id);
CREATE INDEX open_demands_outlet ON open_demands (book, outlet);

-- The latest one-time code sent to a number; the code itself is known to its carrier only.
CREATE TABLE verifications (
    book        integer NOT NULL,
    number      text    NOT NULL,
    id          bigint  NOT NULL,
    client      text    NOT NULL,
    authentication_id text,                               -- the carrier's name for it; NULL: not sent, or used up
    sent_at     timestamptz NOT NULL,
    counted_since timestamptz NOT NULL,                   -- start of the day in which `sends` are counted
    sends       smallint NOT NULL CHECK (sends >= 0),
    checks      smallint NOT NULL DEFAULT 0 CHECK (checks >= 0),
    PRIMARY KEY (book, number),
    UNIQUE (book, id)
) WITH (fillfactor = 60);
