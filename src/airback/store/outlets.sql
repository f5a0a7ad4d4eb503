-- name: names
-- Every outlet of the book.
SELECT outlet FROM outlets WHERE book = $1 ORDER BY outlet

-- name: in_force
-- Each outlet's last terms whose time has come at $2.
SELECT DISTINCT ON (outlet) outlet, version, document, effective_at FROM outlet_terms
WHERE book = $1 AND effective_at <= $2 ORDER BY outlet, version DESC

-- name: versions
-- Every version of an outlet's terms, the last first.
SELECT version, document, effective_at, proposed_by, approved_by, created_at FROM outlet_terms
WHERE book = $1 AND outlet = $2 ORDER BY version DESC

-- name: last_versions
-- The last version of these outlets' terms, in force or not.
SELECT outlet, max(version) AS version FROM outlet_terms
WHERE book = $1 AND outlet = ANY ($2::text[]) GROUP BY outlet

-- name: register
-- An outlet that is not on record yet; one that is gets the name it was given now.
INSERT INTO outlets (book, outlet, name, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (book, outlet) DO UPDATE SET name = EXCLUDED.name

-- name: insert_terms
INSERT INTO outlet_terms (book, outlet, version, document, effective_at, proposed_by, approved_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: record
-- What became of each outlet's fills since an id (ids grow with time): delivered, failed, taken back afterwards.
SELECT f.outlet, count(*) FILTER (WHERE f.state = 'delivered') AS delivered,
       count(*) FILTER (WHERE f.state = 'failed') AS failed,
       coalesce(sum(f.delivered_fen) FILTER (WHERE f.state = 'delivered'), 0)::bigint AS delivered_fen,
       coalesce(sum(f.pays_fen) FILTER (WHERE f.state = 'delivered'), 0)::bigint AS paid_fen,
       count(*) FILTER (WHERE f.state = 'delivered' AND EXISTS (
           SELECT FROM corrections c JOIN effects e ON e.book = c.book AND e.id = c.effect_id
           WHERE c.book = $1 AND c.order_id = f.order_id AND c.kind = 'delivery_reversed' AND e.fill_id = f.id)) AS reversed
FROM fills f WHERE f.book = $1 AND f.id >= $2 AND ($3::text IS NULL OR f.outlet = $3)
GROUP BY f.outlet ORDER BY f.outlet

-- name: taken_between
-- What outlets took or are about to take between two ids, in face, and what became of those fills.
SELECT outlet,
       coalesce(sum(CASE WHEN state = 'delivered' THEN delivered_fen ELSE face_fen END)
                FILTER (WHERE state IN ('reserved', 'delivering', 'delivered')), 0)::bigint AS taken_fen,
       count(*) FILTER (WHERE state = 'delivered') AS delivered, count(*) FILTER (WHERE state = 'failed') AS failed
FROM fills WHERE book = $1 AND id >= $2 AND id < $3 GROUP BY outlet

-- name: begun_since
-- Fills of each outlet since an id.
SELECT outlet, count(*) AS fills FROM fills
WHERE book = $1 AND id >= $2 AND state IN ('reserved', 'delivering', 'delivered') GROUP BY outlet

-- name: reversed_since
-- Fills of each outlet since an id that were taken back afterwards. Found from the corrections, of which there are few.
SELECT f.outlet, count(DISTINCT f.id) AS reversed
FROM corrections c
JOIN effects e ON e.book = c.book AND e.id = c.effect_id
JOIN fills f ON f.book = e.book AND f.id = e.fill_id
WHERE c.book = $1 AND c.id >= $2 AND c.kind = 'delivery_reversed' AND f.id >= $2 AND f.state = 'delivered'
GROUP BY f.outlet

-- name: hooks
-- Where outlets want to be told.
SELECT outlet, url, secret, created_at FROM outlet_hooks WHERE book = $1

-- name: hook
SELECT url, created_at FROM outlet_hooks WHERE book = $1 AND outlet = $2

-- name: set_hook
INSERT INTO outlet_hooks (book, outlet, url, secret, created_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (book, outlet) DO UPDATE SET url = EXCLUDED.url, secret = EXCLUDED.secret, created_at = EXCLUDED.created_at

-- name: drop_hook
DELETE FROM outlet_hooks WHERE book = $1 AND outlet = $2 RETURNING true
