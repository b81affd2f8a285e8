"""The command line, the dispatcher and the wiring: the only composition root."""
