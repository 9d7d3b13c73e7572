"""Scripts that the tests run with a container's own Python."""
