-- +goose Up
CREATE TABLE clients (
    id                   uuid        PRIMARY KEY,
    first_name           text        NOT NULL,
    last_name            text        NOT NULL,
    email_address        text        NOT NULL,
    title                text,
    middle_name          text,
    company_name         text,
    telephone_number     text,
    alt_telephone_number text,
    pronouns             text,
    prefers_email        boolean,
    prefers_phone        boolean,
    prefers_sms          boolean,
    prefers_post         boolean,
    avatar_url           text,
    dob                  date,
    nationality          text,
    ni_number            text,
    occupation           text,
    address_line_1       text,
    address_line_2       text,
    address_line_3       text,
    address_post_town    text,
    address_county       text,
    address_postcode     text,
    address_uprn         text,
    status               text        NOT NULL,
    fingerprint          bytea       NOT NULL,
    accepted_at          timestamptz NOT NULL,
    created_at           timestamptz NOT NULL,

    -- Preferences are all known or all unknown; an address has its first line and its postcode, or is not there.
    CONSTRAINT clients_prefers CHECK (num_nulls(prefers_email, prefers_phone, prefers_sms, prefers_post) IN (0, 4)),
    CONSTRAINT clients_address CHECK (
        num_nulls(address_line_1, address_postcode) = 0
        OR num_nonnulls(address_line_1, address_line_2, address_line_3, address_post_town, address_county,
                        address_postcode, address_uprn) = 0),
    CONSTRAINT clients_status CHECK (status IN ('Active', 'Closed', 'Invited', 'NotInvited', 'SendFailed')),
    CONSTRAINT clients_fingerprint CHECK (octet_length(fingerprint) = 32)
);
