-- +goose Up
-- The tombstones of erased clients. No client is created under an id whose SHA-256 is here.
CREATE TABLE erasures (
    hash      BLOB    NOT NULL PRIMARY KEY,
    erased_at INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC
    reason    TEXT    NOT NULL,
    operator  TEXT    NOT NULL,

    CONSTRAINT erasures_hash CHECK (length(hash) = 32)
) STRICT;
