"""Measurements, run by hand: each script prints a table with the ratio to a floor of the same run."""
