-- Sets the passwords of the roles in roles.sql from the environment. docker-compose.yml runs both files with psql.

\getenv owner POSTGRES_OWNER_PASSWORD
\getenv worker POSTGRES_WORKER_PASSWORD
\getenv ingress POSTGRES_INGRESS_PASSWORD
\getenv operator POSTGRES_OPERATOR_PASSWORD
ALTER ROLE clientele_owner PASSWORD :'owner';
ALTER ROLE clientele_worker PASSWORD :'worker';
ALTER ROLE clientele_ingress PASSWORD :'ingress';
ALTER ROLE clientele_operator PASSWORD :'operator';
