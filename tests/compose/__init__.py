"""The pair as `docker compose up` runs it, built and started from nothing. Needs a container engine."""
