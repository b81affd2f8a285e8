"""The page in a real browser, before a real server with real runs."""
