-- +goose Up
-- Legal holds: no client whose SHA-256 of the id is here is erased up to the end of its last day, in UTC.
CREATE TABLE holds (
    hash     bytea       PRIMARY KEY,
    last_day date        NOT NULL,
    held_at  timestamptz NOT NULL,
    reason   text        NOT NULL,
    operator text        NOT NULL,

    CONSTRAINT holds_hash CHECK (octet_length(hash) = 32)
);
