"""Phrases in tool output that are worth looking at once, as tools really print them. Literals, lower case."""

URGENT: tuple[str, ...] = (
    "traceback (most recent call last)",
    "importerror:",
    "modulenotfounderror",
    "http 429",
    "still retrying",
    "panic:",
    "fatal:",
    "segmentation fault",
    "out of memory",
)
