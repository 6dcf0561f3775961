-- +goose Up
-- The caller that created the client, and the id of its API key. Both are empty for clients of version 0.1.
ALTER TABLE clients ADD COLUMN caller text NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN key_id text NOT NULL DEFAULT '';
