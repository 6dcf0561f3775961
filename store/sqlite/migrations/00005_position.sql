-- +goose Up
-- How much of the events stream this database has. A sequence of -1 means: all that was on the stream when this table was created.
CREATE TABLE redo_position (
    one      INTEGER NOT NULL PRIMARY KEY DEFAULT 1,
    stream   TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    server   TEXT    NOT NULL,

    CONSTRAINT redo_position_one CHECK (one = 1)
) STRICT;
INSERT INTO redo_position (stream, sequence, server)
SELECT '', CASE WHEN EXISTS (SELECT 1 FROM clients) OR EXISTS (SELECT 1 FROM erasures) THEN -1 ELSE 0 END, '';
