-- Whether an outlet takes what is sent to it. A failing one rests, and returns by probes; the book's writer keeps it.
CREATE TABLE outlet_health (
    book        integer NOT NULL,
    outlet      text    NOT NULL,
    state       text    NOT NULL CHECK (state IN ('well', 'resting', 'probing')),
    since       timestamptz NOT NULL,
    until       timestamptz,                              -- resting: until then nothing is sent there
    rests       integer NOT NULL CHECK (rests >= 0),      -- how often it rested without getting well between
    probe       bigint,                                   -- the fill under way as a probe
    probes_taken integer NOT NULL CHECK (probes_taken >= 0),
    window_at   timestamptz,                              -- when the window of the next two counts began
    taken       integer NOT NULL CHECK (taken >= 0),
    refused     integer NOT NULL CHECK (refused >= 0),
    taken_before integer NOT NULL CHECK (taken_before >= 0),
    refused_before integer NOT NULL CHECK (refused_before >= 0),
    PRIMARY KEY (book, outlet)
) WITH (fillfactor = 60);

-- Why the fill went where it went: {worth, passed: [[outlet, worth, why not], …]}, both worths in ppm of face. A column, since
-- a table of its own would cost each fill another row and another key.
ALTER TABLE fills ADD COLUMN routed jsonb;
