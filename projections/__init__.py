"""Tables computed from the log by DuckDB; disposable at any time."""
