"""What reading JSON that others wrote may raise."""

from typing import Final

import msgspec

# msgspec lets bytes that are not UTF-8 and a nesting that has no end through as errors of Python
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
