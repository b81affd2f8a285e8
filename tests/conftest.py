"""What every test begins with, whatever started them."""

import signal

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, also by the processes that tests start
