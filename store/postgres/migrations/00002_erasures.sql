-- +goose Up
-- The tombstones of erased clients. No client is created under an id whose SHA-256 is here.
CREATE TABLE erasures (
    hash      bytea       PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    reason    text        NOT NULL,
    operator  text        NOT NULL,

    CONSTRAINT erasures_hash CHECK (octet_length(hash) = 32)
);
