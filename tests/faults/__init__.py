"""What happens when things break: real processes, a real Postgres, and faults on purpose.

One scenario a file. Each prints its figures and is judged by them. `make faults` runs all,
`make faults-quick` the short ones.
"""
