"""The command line: the only place that prints and chooses an exit code.

Takes arguments; gives text on a terminal, or exactly one JSON document, and an exit code; does not know how
anything is measured or scheduled. Commands import what they need when they run, so that they start fast.
"""

from testbed.cli.app import main

__all__ = ["main"]
