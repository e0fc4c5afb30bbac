"""`python -m opentrn` is the command `opentrn`."""

from __future__ import annotations

import sys

from opentrn.cli import main

if __name__ == "__main__":
    sys.exit(main())
