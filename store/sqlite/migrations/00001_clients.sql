-- +goose Up
CREATE TABLE clients (
    id                   TEXT    NOT NULL PRIMARY KEY,
    first_name           TEXT    NOT NULL,
    last_name            TEXT    NOT NULL,
    email_address        TEXT    NOT NULL,
    title                TEXT,
    middle_name          TEXT,
    company_name         TEXT,
    telephone_number     TEXT,
    alt_telephone_number TEXT,
    pronouns             TEXT,
    prefers_email        INTEGER,
    prefers_phone        INTEGER,
    prefers_sms          INTEGER,
    prefers_post         INTEGER,
    avatar_url           TEXT,
    dob                  TEXT,
    nationality          TEXT,
    ni_number            TEXT,
    occupation           TEXT,
    address_line_1       TEXT,
    address_line_2       TEXT,
    address_line_3       TEXT,
    address_post_town    TEXT,
    address_county       TEXT,
    address_postcode     TEXT,
    address_uprn         TEXT,
    status               TEXT    NOT NULL,
    fingerprint          BLOB    NOT NULL,
    accepted_at          INTEGER NOT NULL, -- microseconds since 1970-01-01 UTC, as is created_at
    created_at           INTEGER NOT NULL,

    -- A sum is null as soon as one of its terms is.
    CONSTRAINT clients_prefers CHECK (
        prefers_email IN (0, 1) AND prefers_phone IN (0, 1) AND prefers_sms IN (0, 1) AND prefers_post IN (0, 1)
            AND prefers_email + prefers_phone + prefers_sms + prefers_post IS NOT NULL
        OR coalesce(prefers_email, prefers_phone, prefers_sms, prefers_post) IS NULL),
    CONSTRAINT clients_address CHECK (
        address_line_1 IS NOT NULL AND address_postcode IS NOT NULL
        OR coalesce(address_line_1, address_line_2, address_line_3, address_post_town, address_county, address_postcode,
                    address_uprn) IS NULL),
    -- The pattern comes first, for date() takes more than dates; date() is another date for 30 February.
    CONSTRAINT clients_dob CHECK (
        dob IS NULL OR dob GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]' AND dob IS date(dob)),
    CONSTRAINT clients_status CHECK (status IN ('Active', 'Closed', 'Invited', 'NotInvited', 'SendFailed')),
    CONSTRAINT clients_fingerprint CHECK (length(fingerprint) = 32)
) STRICT;
