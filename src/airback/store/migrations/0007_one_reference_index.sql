-- The unique key on an effect's reference is an index on it already; a second one was written for every effect.
DROP INDEX effects_ref;
