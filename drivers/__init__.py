"""Drivers: boards, links, meters, switches, the agent on the board, and virtual counterparts of them all.

This file travels inside the agent to boards with Python 3.8: it imports nothing.
"""
