"""Takes a board's table of the lab file, gives a `testbed.ports.Board`: link, agent and options put together.

One file a kind of board; what they share is a conversation with the agent over any link.
Does not know policies, requests beyond their actions, or what is done with the events.
"""
