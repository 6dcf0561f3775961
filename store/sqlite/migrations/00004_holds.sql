-- +goose Up
-- Legal holds: no client whose SHA-256 of the id is here is erased up to the end of its last day, in UTC.
CREATE TABLE holds (
    hash     BLOB    NOT NULL PRIMARY KEY,
    last_day TEXT    NOT NULL, -- YYYY-MM-DD
    held_at  INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    reason   TEXT    NOT NULL,
    operator TEXT    NOT NULL,

    CONSTRAINT holds_hash CHECK (length(hash) = 32)
) STRICT;
