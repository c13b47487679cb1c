"""``python -m testbed``."""

from __future__ import annotations

from testbed.cli.app import main

if __name__ == "__main__":
    main()
