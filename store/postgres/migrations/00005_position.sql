-- +goose Up
-- How much of the events stream this database has. A sequence of -1 means: all that was on the stream when this table was created.
CREATE TABLE redo_position (
    one      boolean PRIMARY KEY DEFAULT true,
    stream   text    NOT NULL,
    sequence bigint  NOT NULL,
    server   text    NOT NULL,

    CONSTRAINT redo_position_one CHECK (one)
);
INSERT INTO redo_position (stream, sequence, server)
SELECT '', CASE WHEN EXISTS (SELECT FROM clients) OR EXISTS (SELECT FROM erasures) THEN -1 ELSE 0 END, '';
