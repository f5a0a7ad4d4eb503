"""Numbered SQL migrations, read by `airback.store.migrate`: `NNNN_name.sql`, `NNNN_name.pre.sql`, `NNNN_name.post.sql`."""
