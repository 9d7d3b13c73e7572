"""All SQL of the auth service."""
