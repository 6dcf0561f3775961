-- +goose Up
-- Counts and replays of a period read its pages only: rows are nearly in the order of their creation. A range has 8 MiB, so that
-- autovacuum, which summarises a range soon after it is full, keeps up with the fastest import.
CREATE INDEX IF NOT EXISTS clients_created_at ON clients USING brin (created_at) WITH (pages_per_range = 1024, autosummarize = on);
