-- Far sides' statements as they were imported, what could not be read or matched of them, and the differences.

-- One file, or one answer of a far side's interface, for one day in China. Importing it twice changes nothing.
CREATE TABLE statements (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    far_side    text    NOT NULL,                         -- carrier:cmcc, rail:alipay
    day         date    NOT NULL,
    layout      text    NOT NULL,                         -- own_csv, camt053, alipay_bill, interface
    sha256      bytea   NOT NULL CHECK (length(sha256) = 32),
    rows        integer NOT NULL CHECK (rows >= 0),
    out_fen     bigint  NOT NULL CHECK (out_fen >= 0),
    in_fen      bigint  NOT NULL CHECK (in_fen >= 0),
    fee_fen     bigint  NOT NULL CHECK (fee_fen >= 0),
    matched     integer NOT NULL CHECK (matched >= 0),
    quarantined integer NOT NULL CHECK (quarantined >= 0),
    totals_checked boolean NOT NULL,
    imported_by text    NOT NULL,
    imported_at timestamptz NOT NULL,
    PRIMARY KEY (book, id),
    UNIQUE (book, far_side, day)
);

-- Rows that need a person: quarantined ones (`code` names why), and those that matched nothing of ours.
CREATE TABLE statement_rows (
    book        integer NOT NULL,
    statement   bigint  NOT NULL,
    n           integer NOT NULL CHECK (n > 0),           -- the row's number in the file, from 1
    code        text,                                     -- quarantined: the refusal
    field       text,
    reference   text,
    far_reference text,
    kind        text,
    direction   text CHECK (direction IN ('out', 'in')),
    amount_fen  bigint CHECK (amount_fen > 0),
    fee_fen     bigint CHECK (fee_fen >= 0),
    party       text,
    at          timestamptz,
    PRIMARY KEY (book, statement, n),
    CHECK (code IS NOT NULL OR (amount_fen IS NOT NULL AND at IS NOT NULL))
);

-- A difference between our books and a statement: work with an owner and a due time, until it is resolved.
CREATE TABLE breaks (
    book        integer NOT NULL,
    id          bigint  NOT NULL,
    statement   bigint  NOT NULL,
    far_side    text    NOT NULL,
    day         date    NOT NULL,
    explanation text    NOT NULL CHECK (explanation IN
        ('timing', 'fee', 'missing_here', 'missing_there', 'amount', 'duplicate', 'reversed')),
    state       text    NOT NULL CHECK (state IN ('open', 'matched', 'corrected')),
    owner       text    NOT NULL,                         -- a role of the staff
    due_at      timestamptz NOT NULL,
    confidence_ppm integer NOT NULL CHECK (confidence_ppm BETWEEN 0 AND 1000000),
    reference   text,
    far_reference text,
    kind        text,
    direction   text    NOT NULL CHECK (direction IN ('out', 'in')),
    our_amount_fen bigint,
    their_amount_fen bigint,
    our_fee_fen bigint,
    their_fee_fen bigint,
    left_fen    bigint  NOT NULL,                         -- what it leaves on the clearing account, credit positive
    at          timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    correction  text,
    resolved_by text,                                     -- the public id of the proposal that resolved it
    PRIMARY KEY (book, id),
    CHECK (our_amount_fen IS NOT NULL OR their_amount_fen IS NOT NULL),
    CHECK ((state = 'open') = (closed_at IS NULL)),
    CHECK ((state = 'corrected') = (resolved_by IS NOT NULL))
) WITH (fillfactor = 80);
-- What a far side executed is looked for by the time we learned of it.
CREATE INDEX effects_far_side ON effects (book, far_side, at);

-- An imported statement is folded in by the writer, who settles the clearing account with it.
ALTER TABLE inbox DROP CONSTRAINT inbox_kind_check;
ALTER TABLE inbox ADD CONSTRAINT inbox_kind_check
    CHECK (kind IN ('cancel', 'callback', 'decision', 'payee', 'withdraw', 'statement'));

CREATE INDEX breaks_open ON breaks (book, far_side, due_at) WHERE closed_at IS NULL;
CREATE INDEX breaks_statement ON breaks (book, statement);
CREATE INDEX breaks_reference ON breaks (book, reference) WHERE reference IS NOT NULL;
