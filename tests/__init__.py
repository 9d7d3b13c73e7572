"""The tests mirror the tree; each docstring is the rule that its test holds."""
