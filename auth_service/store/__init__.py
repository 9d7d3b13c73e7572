"""All SQL of the auth service. Stores return facts; the rules decide what they mean."""
