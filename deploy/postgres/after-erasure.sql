-- Removes what PostgreSQL keeps of erased clients: the dead rows, the statistics of the planner, and the write-ahead log. Run this
-- file as a superuser in the database of Clientele after clientele erase:
--
--   psql --dbname clientele --file after-erasure.sql
--
-- It locks the table clients while it copies it: meanwhile workers and readers wait. It temporarily requires as much space as the
-- table, and twice that of the write-ahead log. A transaction that is older than the erasure keeps the dead rows: end it first.

-- VACUUM alone marks the space of a dead row as free, but leaves its bytes. ANALYZE stores values of the columns.
VACUUM (FULL, ANALYZE) clients;
VACUUM FULL pg_statistic;

-- A checkpoint renames old segments for later use, with their content. Each switch fills the rest of a segment with zeros.
SELECT pg_switch_wal();
CHECKPOINT;
DO $$
BEGIN
	FOR i IN 1 .. (SELECT count(*) FROM pg_ls_waldir()) LOOP
		PERFORM pg_logical_emit_message(false, 'clientele', 'erased'); -- an empty segment is not switched
		PERFORM pg_switch_wal();
	END LOOP;
END
$$;
CHECKPOINT;
