"""The signals by which people and systems ask a program to end what it does and go."""

import signal


def signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, a service manager, and a terminal or a connection that went away; not the last one under nohup."""
    keeps_on = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if keeps_on else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
