"""Makes `tests/isa/harness.py` importable as `harness`, and Ctrl-C heard by the commands that tests interrupt."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "isa"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell that starts the tests with & ignores it for them too
    signal.signal(signal.SIGINT, signal.default_int_handler)
