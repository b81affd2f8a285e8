"""The HTTP door: a table of routes, a gate before them, and the functions of `commands` behind them."""
