"""Events, aggregates and decisions: pure. No I/O, no clock, no randomness, no environment."""
