"""What `make run`, `make stop` and `make reset` promise."""
