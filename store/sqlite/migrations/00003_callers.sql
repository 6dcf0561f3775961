-- +goose Up
-- The caller that created the client, and the id of its API key. Both are empty for clients of version 0.1.
ALTER TABLE clients ADD COLUMN caller TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
-- Version 0.1 may still use an installation of its own. It must not use a new one, because it would remove the secret of its ids.
INSERT INTO clientele_schema (version_id, is_applied) SELECT 3, 1 WHERE NOT EXISTS (SELECT 1 FROM clients);
