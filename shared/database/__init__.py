"""A service's own Postgres: the connection pool, migrations, and sweeping."""
