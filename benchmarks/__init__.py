"""Benchmarks, which report ratios within one run, since absolute figures from different machines don't compare."""

import signal

signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends what the benchmark started, as Ctrl-C does
