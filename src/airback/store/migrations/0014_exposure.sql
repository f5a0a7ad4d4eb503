-- Face value in quotes that are neither used nor expired, as each process of the API has counted it, by subject (a seller,
-- a carrier, a client's part of a carrier) and the time the quotes expire. A process that saw quotes used which another
-- signed counts them below zero: the sum over processes is what is live. What has expired is deleted.
CREATE TABLE live_exposure (
    book        integer NOT NULL,
    process     text    NOT NULL,
    subject     text    NOT NULL,
    until       timestamptz NOT NULL,
    fen         bigint  NOT NULL,
    PRIMARY KEY (book, process, subject, until)
);
CREATE INDEX live_exposure_until ON live_exposure (book, until);
