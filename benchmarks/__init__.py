"""What the code costs, measured as ratios within one run: figures of different machines don't compare, ratios do."""
