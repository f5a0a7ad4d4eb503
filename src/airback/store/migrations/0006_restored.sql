-- Since when a book stands as a backup had it, and the first day of which it awaits far sides' statements; null once
-- sending is on again.
ALTER TABLE books
    ADD COLUMN restored_at  timestamptz,
    ADD COLUMN awaited_from date;
UPDATE books SET restored_at = now(), awaited_from = (now() AT TIME ZONE 'Asia/Shanghai')::date WHERE NOT sending;
