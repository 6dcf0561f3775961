-- The roles of Clientele's database. Each has only the rights that it needs. Run this file in that database as its owner or a
-- superuser, before the first clientele migrate and after every migrate:
--
--   psql --dbname clientele --file roles.sql
--
-- You can run it again at any time. Give each role a password (\password clientele_worker) or another way to log in.

DO $$
DECLARE
	role text;
BEGIN
	FOREACH role IN ARRAY ARRAY['clientele_owner', 'clientele_worker', 'clientele_ingress', 'clientele_operator'] LOOP
		IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
			EXECUTE format('CREATE ROLE %I LOGIN', role);
		END IF;
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
		EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
	END LOOP;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	REVOKE ALL ON SCHEMA public FROM PUBLIC;

	-- For clientele migrate, which owns what it creates.
	GRANT CREATE ON SCHEMA public TO clientele_owner;

	-- After a migration, when the tables exist:
	IF to_regclass('public.clientele_migrations') IS NOT NULL THEN
		-- clientele ingress reads clients, clientele worker adds them, clientele clients finds them, and clientele erase removes
		-- them and adds tombstones, which the worker reads. Each reads the schema version. No role can change a client, or change
		-- or remove a tombstone.
		GRANT SELECT ON clients, clientele_schema, clientele_migrations TO clientele_ingress, clientele_worker, clientele_operator;
		GRANT INSERT ON clients TO clientele_worker;
		GRANT DELETE ON clients TO clientele_operator;
		GRANT SELECT ON erasures TO clientele_worker, clientele_operator;
		GRANT INSERT ON erasures TO clientele_operator;
	END IF;
	IF to_regclass('public.redo_position') IS NOT NULL THEN
		-- The worker stores how much of the events stream the database has.
		GRANT SELECT, UPDATE ON redo_position TO clientele_worker;
	END IF;
	IF to_regclass('public.rejections') IS NOT NULL THEN
		-- The worker records which operations were rejected and removes old records, the ingress lists them, and clientele erase removes
		-- one. clientele redo and clientele restore record them again.
		GRANT SELECT ON rejections TO clientele_ingress, clientele_worker, clientele_operator;
		GRANT INSERT, UPDATE, DELETE ON rejections TO clientele_worker, clientele_operator;
	END IF;
	IF to_regclass('public.holds') IS NOT NULL THEN
		-- clientele erase --legal-hold adds and lifts legal holds.
		GRANT SELECT, INSERT, DELETE ON holds TO clientele_operator;
	END IF;
END
$$;
