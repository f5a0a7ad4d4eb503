-- What the pricing bench puts into its own database, so that every factor has its fact.

-- name: publish
INSERT INTO rate_cards (book, version, document, effective_at, proposed_by, approved_by, created_at)
VALUES ($1, $2, $3, $4, 'setup', 'operator', $4)

-- name: want
INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
VALUES ($1, $2, 'bench', $3, '13900139000', $4, $5, $6)

-- name: class
INSERT INTO seller_classes (book, client, ref, seller, class, changed_at) VALUES ($1, $2, $3, $4, $5, $6)
