"""Benchmarks, which report ratios within one run, since absolute figures from different machines don't compare."""
