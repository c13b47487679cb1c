"""Hardware-in-the-loop testbed for modeless inference at the edge.

This file travels inside the agent to boards with Python 3.8: it imports nothing.
"""

__version__ = "0.1.0"
