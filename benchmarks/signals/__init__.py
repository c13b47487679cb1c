"""Takes a seed, gives loads whose energy is known exactly and meters that see them as the real ones would.

Does not know how energy is computed from what a meter says.
"""
