-- name: add_outlet
-- An outlet that is not on record yet.
INSERT INTO outlets (book, outlet, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING

-- name: add_client
-- A client that is not on record yet; one that is keeps what it has.
INSERT INTO clients (book, client, kind, outlet, requests_per_minute, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING

-- name: add_key
-- A key of a client: only the HMAC of it is kept.
INSERT INTO client_keys (book, prefix, client, secret_hmac, scopes, created_at) VALUES ($1, $2, $3, $4, $5, $6)

-- name: find_key
-- The key with this prefix and its client, unless revoked.
SELECT k.secret_hmac, k.scopes, c.client, c.kind, c.outlet, c.requests_per_minute
FROM client_keys k JOIN clients c ON c.book = k.book AND c.client = k.client
WHERE k.book = $1 AND k.prefix = $2 AND k.revoked_at IS NULL

-- name: revoke_key
-- The key is refused from now on.
UPDATE client_keys SET revoked_at = $3 WHERE book = $1 AND prefix = $2 AND revoked_at IS NULL
RETURNING true
