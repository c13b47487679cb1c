"""Takes wire messages on stdin or a tty, gives executions, power samples and facts of the board it runs on.

Shipped as one ``.pyz`` with the wire inside; Python 3.8 and its standard library suffice.
Does not know the coordinator, policies, requests or why something is executed.
"""
