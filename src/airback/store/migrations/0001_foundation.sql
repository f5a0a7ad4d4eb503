-- One operator's complete accounts are a book. `book` stands in every key, so that books spread over servers.
-- No trigger, no exclusion constraint, no foreign key: CHECKs, unique keys and the posting statement hold the rules.

CREATE TABLE books (
    book        integer PRIMARY KEY,
    name        text    NOT NULL,
    epoch       bigint  NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    sending     boolean NOT NULL DEFAULT true,           -- false after a restore, until statements are in
    routing     boolean NOT NULL DEFAULT true,           -- false while an alarm about money is open
    pause_reason text,
    created_at  timestamptz NOT NULL
);

-- Who writes a book, apart from `books` so that a heartbeat never waits for a batch.
CREATE TABLE writers (
    book        integer PRIMARY KEY,
    worker      text NOT NULL,
    seen_at     timestamptz NOT NULL
);

-- API clients: programs that speak to /v1. Only a peppered HMAC of the key's secret is kept.
CREATE TABLE clients (
    book        integer NOT NULL,
    client      text    NOT NULL CHECK (client ~ '^[a-z0-9_-]{1,40}$'),
    kind        text    NOT NULL CHECK (kind IN ('seller', 'company', 'outlet', 'staff')),
    outlet      text,                                     -- the outlet this client places demands for
    requests_per_minute integer NOT NULL DEFAULT 6000 CHECK (requests_per_minute > 0),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, client)
);

CREATE TABLE client_keys (
    book        integer NOT NULL,
    prefix      text    NOT NULL,
    client      text    NOT NULL,
    secret_hmac bytea   NOT NULL,
    scopes      text[]  NOT NULL,
    created_at  timestamptz NOT NULL,
    revoked_at  timestamptz,
    PRIMARY KEY (book, prefix)
);

CREATE TABLE parties (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    client      text    NOT NULL,
    ref         text    NOT NULL,                         -- the client's own name for the seller
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, id),
    UNIQUE (book, client, ref)
);

-- A request that was accepted, by the client's key: the same answer for the same request, for ever.
CREATE TABLE idempotency (
    book        integer NOT NULL,
    client      text    NOT NULL,
    key         text    NOT NULL,
    request_hash bytea  NOT NULL,
    answer      jsonb   NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, client, key)
);

-- Things only one live order may own: a card's code, a quote. `expires_at` NULL: for ever.
CREATE TABLE claims (
    book        integer NOT NULL,
    kind        text    NOT NULL CHECK (kind IN ('card', 'quote')),
    fingerprint bytea   NOT NULL,
    order_id    bigint  NOT NULL,
    expires_at  timestamptz,
    PRIMARY KEY (book, kind, fingerprint)
);

-- The published price list: documents, never changed once approved.
CREATE TABLE rate_cards (
    book        integer NOT NULL,
    version     integer NOT NULL,
    document    jsonb   NOT NULL,
    effective_at timestamptz NOT NULL,
    proposed_by text    NOT NULL,
    approved_by text    NOT NULL CHECK (approved_by <> proposed_by),
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, version)
);

CREATE TABLE licences (
    book        integer NOT NULL,
    number      text    NOT NULL,
    issuer      text    NOT NULL,
    capabilities text[] NOT NULL,
    valid_from  timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    recorded_by text    NOT NULL,
    PRIMARY KEY (book, number)
);

-- One sale of one asset. Updated in place by the book's writer only, guarded by its state.
CREATE TABLE orders (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    client      text    NOT NULL,
    client_ref  text,
    seller      bigint  NOT NULL,
    lane        smallint NOT NULL CHECK (lane IN (0, 1)), -- 0 a person, 1 a file
    product     text    NOT NULL CHECK (product IN ('balance', 'card')),
    carrier     text    NOT NULL,
    number      text,                                     -- balance: the seller's number
    card_number text,                                     -- card: its printed number
    card_code   bytea,                                    -- card: its code, sealed; gone once redeemed
    face_fen    bigint  NOT NULL CHECK (face_fen > 0),
    net_fen     bigint  NOT NULL CHECK (net_fen > 0),     -- what the seller nets by the quote in force
    quote       jsonb   NOT NULL,                         -- the signed quote in force
    first_quote jsonb,                                    -- the one the seller accepted, when another took its place
    rail        text    NOT NULL,
    payee       bytea   NOT NULL,                         -- {account, name}, sealed
    notify_number text,
    language    text    NOT NULL,
    agreement   text    NOT NULL,                         -- version of the agreement that was accepted
    state       text    NOT NULL,
    resume      text,                                     -- where awaiting_seller and in_review return to
    code        text,                                     -- the refusal that ended it, or what it waits for
    hold_kind   text    NOT NULL CHECK (hold_kind IN ('native', 'custody', 'none')),
    hold_ref    text,
    hold_far_ref text,
    held_fen    bigint  NOT NULL DEFAULT 0 CHECK (held_fen >= 0),
    delivered_fen bigint NOT NULL DEFAULT 0 CHECK (delivered_fen >= 0),
    credited_fen bigint NOT NULL DEFAULT 0 CHECK (credited_fen >= 0),
    paid_fen    bigint  NOT NULL DEFAULT 0 CHECK (paid_fen >= 0),
    attempts    smallint NOT NULL DEFAULT 0,              -- explicit failures of the step it stands at
    cancel      text CHECK (cancel IN ('asked', 'too_late', 'done')),
    submitted_at timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    delivered_at timestamptz,
    final_at    timestamptz,                              -- when its last delivery can no longer be reversed
    closed_at   timestamptz,
    PRIMARY KEY (book, id),
    CHECK ((product = 'balance') = (number IS NOT NULL)),
    CHECK ((product = 'card') = (card_number IS NOT NULL)),
    CHECK (product = 'balance' OR hold_kind = 'none'),
    CHECK (hold_kind = 'none' OR delivered_fen <= held_fen),
    CHECK (paid_fen <= credited_fen)
) WITH (fillfactor = 60);

CREATE UNIQUE INDEX orders_client_ref ON orders (book, client, client_ref) WHERE client_ref IS NOT NULL;
CREATE INDEX orders_seller ON orders (book, seller, id);

-- Open work, kept small: a row from acceptance to the end. `due_at` is when the engine must look again.
CREATE TABLE work (
    book        integer NOT NULL,
    order_id    bigint  NOT NULL,
    lane        smallint NOT NULL,
    seller      bigint  NOT NULL,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (book, order_id)
) WITH (fillfactor = 60);
CREATE INDEX work_due ON work (book, lane, due_at, order_id);
CREATE INDEX work_fair ON work (book, lane, seller, due_at, order_id);

-- What others append for the writer to fold in: cancellations, callbacks, decisions, new payees,
-- withdrawn demands (`ref` is then the demand's id).
CREATE TABLE inbox (
    book        integer NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    kind        text    NOT NULL CHECK (kind IN ('cancel', 'callback', 'decision', 'payee', 'withdraw')),
    order_id    bigint,
    ref         text,
    body        jsonb   NOT NULL DEFAULT '{}',
    at          timestamptz NOT NULL,
    aside_at    timestamptz,                              -- it could not be folded: a person's work
    PRIMARY KEY (book, id)
);

CREATE TABLE outlets (
    book        integer NOT NULL,
    outlet      text    NOT NULL CHECK (outlet ~ '^[a-z0-9_-]{1,40}$'),
    name        text    NOT NULL,
    house       boolean NOT NULL DEFAULT false,           -- the operator itself, which honours prices from its float
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, outlet)
);

CREATE TABLE demands (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    outlet      text    NOT NULL,
    client_ref  text,
    carrier     text    NOT NULL,
    number      text    NOT NULL,
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    price_ppm   integer NOT NULL CHECK (price_ppm BETWEEN 1 AND 1000000),
    deadline_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    withdrawn_at timestamptz,                             -- its outlet took back what was still open of it
    PRIMARY KEY (book, id)
);
CREATE UNIQUE INDEX demands_client_ref ON demands (book, outlet, client_ref) WHERE client_ref IS NOT NULL;

-- The book of open demands, kept small: price, then time.
CREATE TABLE open_demands (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    outlet      text    NOT NULL,
    carrier     text    NOT NULL,
    number      text    NOT NULL,
    price_ppm   integer NOT NULL,
    open_fen    bigint  NOT NULL CHECK (open_fen > 0),
    deadline_at timestamptz NOT NULL,
    PRIMARY KEY (book, id)
) WITH (fillfactor = 60);
CREATE INDEX open_demands_best ON open_demands (book, carrier, price_ppm DESC, id);
CREATE INDEX open_demands_deadline ON open_demands (book, deadline_at);

CREATE TABLE fills (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    order_id    bigint  NOT NULL,
    demand_id   bigint,                                   -- NULL: the house
    outlet      text    NOT NULL,
    number      text    NOT NULL,
    face_fen    bigint  NOT NULL CHECK (face_fen > 0),
    price_ppm   integer NOT NULL,
    pays_fen    bigint  NOT NULL CHECK (pays_fen >= 0),   -- what the outlet pays for it
    state       text    NOT NULL,
    delivered_fen bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (book, id)
) WITH (fillfactor = 60);
CREATE INDEX fills_order ON fills (book, order_id);
CREATE INDEX fills_demand ON fills (book, demand_id) WHERE demand_id IS NOT NULL;

-- What is asked of far sides. Written before it is sent, never changed; results are appended beside it.
CREATE TABLE effects (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    kind        text    NOT NULL,
    far_side    text    NOT NULL,                         -- carrier:cmcc, rail:alipay, messenger:sms
    order_id    bigint,
    fill_id     bigint,
    payout_id   bigint,
    ref         text    NOT NULL CHECK (length(ref) = 26),
    amount_fen  bigint  NOT NULL CHECK (amount_fen >= 0),
    request     bytea   NOT NULL,                         -- the frozen request, sealed
    send_by     timestamptz NOT NULL,
    epoch       bigint  NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (book, id),
    UNIQUE (book, ref)
);
CREATE INDEX effects_order ON effects (book, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX effects_payout ON effects (book, payout_id) WHERE payout_id IS NOT NULL;
CREATE INDEX effects_ref ON effects (book, ref);     -- a callback about an old effect names nothing else

CREATE TABLE effect_results (
    book        integer NOT NULL,
    effect_id   bigint  NOT NULL,
    n           smallint NOT NULL,
    result      text    NOT NULL,
    applied     boolean NOT NULL,                         -- false: the table of transitions did not allow it
    code        text,
    far_ref     text,
    amount_fen  bigint,
    detail      jsonb   NOT NULL DEFAULT '{}',
    exchanges   jsonb   NOT NULL DEFAULT '[]',
    at          timestamptz NOT NULL,
    PRIMARY KEY (book, effect_id, n)
);

-- Effects without a final result, kept small. `ask_at` is the next question; every one has it.
CREATE TABLE open_effects (
    book        integer NOT NULL,
    effect_id   bigint  NOT NULL,
    result      text    NOT NULL,
    epoch       bigint  NOT NULL,
    asks        smallint NOT NULL DEFAULT 0,
    ask_at      timestamptz NOT NULL,
    PRIMARY KEY (book, effect_id)
) WITH (fillfactor = 60);

CREATE TABLE payouts (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    seller      bigint  NOT NULL,
    rail        text    NOT NULL,
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    payee       bytea   NOT NULL,
    state       text    NOT NULL,
    code        text,
    far_ref     text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (book, id)
) WITH (fillfactor = 60);

CREATE TABLE payout_orders (
    book        integer NOT NULL,
    payout_id   bigint  NOT NULL,
    order_id    bigint  NOT NULL,
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    PRIMARY KEY (book, payout_id, order_id)
);
CREATE INDEX payout_orders_order ON payout_orders (book, order_id);

-- The ledger. An account holds one asset. `side` says which side its balance stands on; a bounded account
-- cannot go below zero, pending included, but by what `overdrawn_fen` records: a fact always posts.
CREATE TABLE accounts (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    code        text    NOT NULL,
    asset       text    NOT NULL,
    side        text    NOT NULL CHECK (side IN ('debit', 'credit')),
    bounded     boolean NOT NULL,
    debits_posted   bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_posted  bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    debits_pending  bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    overdrawn_fen   bigint NOT NULL DEFAULT 0 CHECK (overdrawn_fen >= 0),
    PRIMARY KEY (book, id),
    UNIQUE (book, code, asset),
    CHECK (NOT bounded OR side = 'debit'  OR debits_posted + debits_pending <= credits_posted + overdrawn_fen),
    CHECK (NOT bounded OR side = 'credit' OR credits_posted + credits_pending <= debits_posted + overdrawn_fen)
) WITH (fillfactor = 50);

-- (subject, kind, leg) is the posting's own name: posting it twice changes nothing.
CREATE TABLE transfers (
    book        integer NOT NULL,
    subject     bigint  NOT NULL,                         -- fill, order, payout, effect or deposit
    kind        text    NOT NULL,
    leg         smallint NOT NULL,
    phase       text    NOT NULL CHECK (phase IN ('posted', 'pending', 'post', 'void')),
    asset       text    NOT NULL,
    debit       bigint  NOT NULL,
    credit      bigint  NOT NULL,
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    order_id    bigint,
    event_at    timestamptz NOT NULL,                     -- when it happened
    created_at  timestamptz NOT NULL,                     -- when it was written
    PRIMARY KEY (book, subject, kind, leg, phase),
    CHECK (debit <> credit)
);
CREATE INDEX transfers_order ON transfers (book, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX transfers_time ON transfers USING brin (event_at);

-- Everything that happened, in one contiguous sequence per book; `leaf` = H(0x00 ‖ version ‖ H(salt ‖ body)).
CREATE TABLE events (
    book        integer NOT NULL,
    seq         bigint  NOT NULL CHECK (seq > 0),
    action      text    NOT NULL,                         -- source:subject:action
    order_id    bigint,
    at          timestamptz NOT NULL,
    salt        bytea,                                    -- NULL after erasure
    body        bytea,
    leaf        bytea   NOT NULL CHECK (length(leaf) = 32),
    PRIMARY KEY (book, seq)
);
CREATE INDEX events_order ON events (book, order_id, seq) WHERE order_id IS NOT NULL;

CREATE TABLE receipts (
    book        integer NOT NULL,
    order_id    bigint  NOT NULL,
    document    jsonb   NOT NULL,                         -- signed; figures and masked references only
    at          timestamptz NOT NULL,
    PRIMARY KEY (book, order_id)
);

-- What came back after it was final for us: who bears it, and what of it is claimed from the seller.
CREATE TABLE corrections (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    order_id    bigint  NOT NULL,
    effect_id   bigint  NOT NULL,
    kind        text    NOT NULL CHECK (kind IN ('delivery_reversed', 'payment_returned')),
    bearer      text    NOT NULL CHECK (bearer IN ('seller', 'platform')),
    amount_fen  bigint  NOT NULL CHECK (amount_fen > 0),
    claim_fen   bigint  NOT NULL CHECK (claim_fen BETWEEN 0 AND amount_fen),
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    PRIMARY KEY (book, id)
);
CREATE INDEX corrections_order ON corrections (book, order_id);

-- Work that waits for a person: an alarm, an effect nobody can resolve.
CREATE TABLE alarms (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    kind        text    NOT NULL,
    subject     text    NOT NULL,
    detail      jsonb   NOT NULL,
    owner       text,
    due_at      timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    PRIMARY KEY (book, id)
);
CREATE UNIQUE INDEX alarms_open ON alarms (book, kind, subject) WHERE closed_at IS NULL;

CREATE TABLE staff (
    book        integer NOT NULL,
    name        text    NOT NULL CHECK (name ~ '^[a-z0-9._-]{1,40}$'),
    password    text    NOT NULL,                         -- argon2id
    roles       text[]  NOT NULL,
    created_at  timestamptz NOT NULL,
    disabled_at timestamptz,
    failures    smallint NOT NULL DEFAULT 0,
    locked_until timestamptz,
    PRIMARY KEY (book, name)
);

CREATE TABLE sessions (
    book        integer NOT NULL,
    token_hash  bytea   NOT NULL,
    name        text    NOT NULL,
    csrf        text    NOT NULL,
    created_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (book, token_hash)
);

-- Two people's decision: one proposes, another approves or rejects; what it changes, before and after.
CREATE TABLE proposals (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    action      text    NOT NULL,                         -- source:subject:action
    subject     text    NOT NULL,
    before      jsonb   NOT NULL,
    after       jsonb   NOT NULL,
    reason      text    NOT NULL CHECK (length(reason) > 0),
    proposed_by text    NOT NULL,
    proposed_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    decision    text CHECK (decision IN ('approved', 'rejected')),
    decided_by  text,
    decided_at  timestamptz,
    decision_reason text,
    PRIMARY KEY (book, id),
    CHECK (decided_by IS NULL OR decided_by <> proposed_by),
    CHECK ((decision IS NULL) = (decided_by IS NULL))
);
