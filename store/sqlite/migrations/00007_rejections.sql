-- +goose Up
-- Where a caller's rejected operations are. The rejections themselves are on their stream, from which an operator can remove them.
CREATE TABLE IF NOT EXISTS rejections (
    id          TEXT    NOT NULL PRIMARY KEY,
    caller      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    accepted_at INTEGER,
    rejected_at INTEGER NOT NULL,

    CONSTRAINT rejections_status CHECK (status IN ('rejected', 'failed'))
) STRICT;
CREATE INDEX IF NOT EXISTS rejections_caller ON rejections (caller, status, rejected_at, id);
CREATE INDEX IF NOT EXISTS rejections_rejected_at ON rejections (rejected_at);
CREATE INDEX IF NOT EXISTS clients_caller ON clients (caller, created_at, id);
