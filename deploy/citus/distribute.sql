-- Spreads the tables of a migrated database over a Citus cluster: by book, so that everything of one operator
-- lies in one shard group, on one node, and a batch stays one local transaction there.
--
-- Run it on the coordinator, with the extension made and the workers added, after `airback migrate`, while no
-- process of Airback runs. It may be run again: after a migration that made tables, it distributes those.
-- This file is also where it is said which table goes where; the tests compare it with the schema.

SELECT create_distributed_table('books', 'book', colocate_with => 'none')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'books'::regclass);

SELECT create_distributed_table(name::regclass, 'book', colocate_with => 'books')
FROM (VALUES
    -- who writes it, who uses it, who works for it
    ('writers'), ('clients'), ('client_keys'), ('parties'), ('staff'), ('sessions'), ('proposals'), ('licences'),
    -- what is sold, at what price, to whom
    ('rate_cards'), ('rate_card_drafts'), ('idempotency'), ('claims'), ('verifications'), ('orders'), ('work'), ('inbox'),
    ('outlets'), ('outlet_terms'), ('outlet_hooks'), ('pauses'), ('standing_bids'), ('offers'), ('demands'), ('open_demands'), ('outlet_health'), ('fills'), ('seller_days'), ('seller_counts'), ('seller_classes'), ('live_exposure'),
    ('competitor_rates'), ('competitor_rate_retractions'), ('matrix_cells'), ('carrier_promotions'), ('price_caps'),
    -- what is asked of far sides, and what they say
    ('effects'), ('effect_results'), ('open_effects'), ('payouts'), ('payout_orders'),
    ('statements'), ('statement_rows'), ('breaks'), ('corrections'), ('alarms'),
    -- money and proof
    ('accounts'), ('transfers'), ('events'), ('receipts'), ('verify_marks'), ('verify_balances'),
    ('split_agreements'), ('operating_bookings'), ('rate_index')
) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = name::regclass);

-- No table is the same for every book, so none is copied to every node (`create_reference_table`).

-- What stays on the coordinator alone; any other table that was not named above is refused.
DO $$
DECLARE
    forgotten text := (
        SELECT string_agg(tablename, ', ' ORDER BY tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations')
          AND NOT EXISTS (SELECT FROM pg_dist_partition
                          WHERE logicalrelid = format('%I.%I', schemaname, tablename)::regclass));
BEGIN
    IF forgotten IS NOT NULL THEN
        RAISE EXCEPTION 'nothing says where these tables go: %', forgotten;
    END IF;
END $$;
