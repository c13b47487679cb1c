"""Ways to carry pictures over an emulated network, side by side: datagrams that may be lost, a stream, coded datagrams.

Takes encoded pictures and the description of a network; gives the instant at which each was answered. The far end
decodes every picture, but runs no model: it takes a given time instead. Does not know boards.
"""
