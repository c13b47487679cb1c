"""The nouns: frozen values that stages hand on.

Takes nothing, gives types; does not know clocks, files, sockets or any particular board.
"""
