-- Two thousand rows in each table that a book's life fills: of four carriers, fifty outlets, a hundred
-- clients and sellers, else of whatever content the constraints allow.

INSERT INTO orders (book, id, client, seller, lane, product, carrier, card_number, face_fen, net_fen, quote, rail, payee, language,
                    agreement, state, hold_kind, submitted_at, updated_at)
SELECT 1, n, 'client' || n % 100, n % 100, 1, 'card', 'c' || n % 4, n, 100, 90, '{}', 'alipay', '', 'zh', '1', 'submitted', 'none', now(), now()
FROM generate_series(1, 2000) AS n;

INSERT INTO work (book, order_id, lane, seller, due_at)
SELECT 1, n, n % 2, n % 100, now() FROM generate_series(1, 2000) AS n;

INSERT INTO inbox (book, kind, order_id, at) SELECT 1, 'cancel', n, now() FROM generate_series(1, 2000) AS n;

INSERT INTO claims (book, kind, fingerprint, order_id)
SELECT 1, 'card', sha256(n::text::bytea), n FROM generate_series(1, 2000) AS n;

INSERT INTO demands (book, id, outlet, carrier, number, amount_fen, price_ppm, deadline_at, created_at)
SELECT 1, n, 'shop' || n % 50, 'c' || n % 4, n, 100, 900000 + n, now(), now() FROM generate_series(1, 2000) AS n;

INSERT INTO open_demands (book, id, outlet, carrier, number, price_ppm, open_fen, deadline_at)
SELECT 1, n, 'shop' || n % 50, 'c' || n % 4, n, 900000 + n, 100, now() FROM generate_series(1, 2000) AS n;

INSERT INTO fills (book, id, order_id, demand_id, outlet, number, face_fen, price_ppm, pays_fen, state, created_at)
SELECT 1, n, n, n, 'shop' || n % 50, n, 100, 900000 + n, 90, 'reserved', now() FROM generate_series(1, 2000) AS n;

INSERT INTO effects (book, id, kind, far_side, order_id, ref, amount_fen, request, send_by, epoch, at)
SELECT 1, n, 'redeem', 'carrier:c' || n % 4, n, lpad(n::text, 26, '0'), 100, '', now(), 1, now() FROM generate_series(1, 2000) AS n;

INSERT INTO effect_results (book, effect_id, n, result, applied, at)
SELECT 1, n, 0, 'succeeded', true, now() FROM generate_series(1, 2000) AS n;

INSERT INTO open_effects (book, effect_id, result, epoch, ask_at)
SELECT 1, n, 'unknown', 1, now() FROM generate_series(1, 2000) AS n;

INSERT INTO payouts (book, id, seller, rail, amount_fen, payee, state, created_at, updated_at)
SELECT 1, n, n % 100, 'alipay', 90, '', 'planned', now(), now() FROM generate_series(1, 2000) AS n;

INSERT INTO payout_orders (book, payout_id, order_id, amount_fen) SELECT 1, n, n, 90 FROM generate_series(1, 2000) AS n;

INSERT INTO accounts (book, id, code, asset, side, bounded)
SELECT 1, n, 'payable:' || n, 'CNY', 'credit', true FROM generate_series(1, 2000) AS n;

INSERT INTO transfers (book, subject, kind, leg, phase, asset, debit, credit, amount_fen, order_id, event_at, created_at)
SELECT 1, n, 'credit', 0, 'posted', 'CNY', 1, 2, 90, n, now(), now() FROM generate_series(1, 2000) AS n;

INSERT INTO events (book, seq, action, order_id, at, leaf)
SELECT 1, n, 'engine:order:closed', n, now(), sha256('') FROM generate_series(1, 2000) AS n;

INSERT INTO receipts (book, order_id, document, at) SELECT 1, n, '{}', now() FROM generate_series(1, 2000) AS n;

INSERT INTO corrections (book, id, order_id, effect_id, kind, bearer, amount_fen, claim_fen, opened_at)
SELECT 1, n, n, n, 'payment_returned', 'platform', 90, 0, now() FROM generate_series(1, 2000) AS n;

INSERT INTO alarms (book, id, kind, subject, detail, due_at, opened_at)
SELECT 1, n, 'effect_unresolved', n, '{}', now(), now() FROM generate_series(1, 2000) AS n;

INSERT INTO breaks (book, id, statement, far_side, day, explanation, state, owner, due_at, confidence_ppm, direction,
                    our_amount_fen, left_fen, at, opened_at)
SELECT 1, n, n % 50, 'rail:r' || n % 2, '2026-11-22', 'timing', 'open', 'finance', now(), 0, 'out', 90, 0, now(), now()
FROM generate_series(1, 2000) AS n;
