"""``python3 agent.pyz``: run the agent, then leave without waiting for threads inside native code."""

from __future__ import annotations

import os
import sys

from drivers.agent.program import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
