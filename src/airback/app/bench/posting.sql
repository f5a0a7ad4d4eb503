-- The one-by-one rival of our posting, and what stands in our own books after a bench.

-- name: accounts
CREATE TABLE rival_accounts (id integer PRIMARY KEY, debits bigint NOT NULL, credits bigint NOT NULL, version bigint NOT NULL)

-- name: transfers
CREATE TABLE rival_transfers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, debit integer NOT NULL,
    credit integer NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())

-- name: entries
CREATE TABLE rival_entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer bigint NOT NULL REFERENCES rival_transfers,
    account integer NOT NULL REFERENCES rival_accounts, amount bigint NOT NULL, balance bigint NOT NULL)

-- name: entries_index
CREATE INDEX ON rival_entries (account, id)

-- name: fill
INSERT INTO rival_accounts SELECT n, 0, 0, 0 FROM generate_series(1, $1::integer) AS n

-- name: function
CREATE FUNCTION post_one(from_account integer, to_account integer, moved bigint) RETURNS bigint LANGUAGE plpgsql AS $post$
DECLARE
    new_id bigint;
    credit_balance bigint;
    debit_balance bigint;
BEGIN
    PERFORM FROM rival_accounts WHERE id IN (from_account, to_account) ORDER BY id FOR UPDATE;
    UPDATE rival_accounts SET credits = credits + moved, version = version + 1 WHERE id = from_account
        RETURNING credits - debits INTO credit_balance;
    UPDATE rival_accounts SET debits = debits + moved, version = version + 1 WHERE id = to_account
        RETURNING credits - debits INTO debit_balance;
    INSERT INTO rival_transfers (debit, credit, amount) VALUES (to_account, from_account, moved) RETURNING id INTO new_id;
    INSERT INTO rival_entries (transfer, account, amount, balance)
    VALUES (new_id, from_account, -moved, credit_balance), (new_id, to_account, moved, debit_balance);
    RETURN new_id;
END
$post$

-- name: standing
SELECT (SELECT count(*) FROM transfers) AS transfers,
       (SELECT sum(debits_posted) = sum(credits_posted) FROM accounts) AS balanced
