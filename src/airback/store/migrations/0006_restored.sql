-- Since when a book stands as a backup had it: until sending is on again it waits for the far sides' statements.
ALTER TABLE books ADD COLUMN restored_at timestamptz;
