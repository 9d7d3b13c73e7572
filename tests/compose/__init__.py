"""The pair as `docker compose up` gives it, built and brought up from nothing. It needs a container engine."""
