"""Takes an instrument's table of the lab file, gives a meter that the coordinator reads beside a board.

Drivers of instruments (entry points ``testbed.meters``), the lines they speak on, and their clocks put on ours.
Does not know which board a meter feeds, what a rail means, or energy.
"""
