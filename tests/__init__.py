"""The tests mirror the source tree; each test's docstring is the rule that it checks."""
