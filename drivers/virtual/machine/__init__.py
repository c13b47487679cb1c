"""The far side of virtual boards, each in processes of its own: an SSH host, a serial line, and the board they lead to.

Takes one JSON file and orders on its standard input, gives a port or a terminal, and runs the agent that was deployed.
Does not know who is at the other end.
"""
