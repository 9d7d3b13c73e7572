"""HTTP in, one call to a rule, HTTP out. No SQL, no rules."""
