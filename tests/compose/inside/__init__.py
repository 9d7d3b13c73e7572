"""Scripts that the tests run with the Python of a container."""
