-- +goose Up
-- Where a caller's rejected operations are. The rejections themselves are on their stream, from which an operator can remove them.
CREATE TABLE IF NOT EXISTS rejections (
    id          uuid        PRIMARY KEY,
    caller      text        NOT NULL,
    status      text        NOT NULL,
    accepted_at timestamptz,
    rejected_at timestamptz NOT NULL,

    CONSTRAINT rejections_status CHECK (status IN ('rejected', 'failed'))
);
CREATE INDEX IF NOT EXISTS rejections_caller ON rejections (caller, status, rejected_at, id);
CREATE INDEX IF NOT EXISTS rejections_rejected_at ON rejections (rejected_at);
-- An index row has at most 2,704 bytes. A program that published to the log of an earlier version may have had a longer caller.
CREATE INDEX IF NOT EXISTS clients_caller ON clients (caller, created_at, id) WHERE octet_length(caller) <= 512;
