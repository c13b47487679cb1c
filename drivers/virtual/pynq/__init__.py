"""Takes an overlay's registers and memory as software sees them, gives the board around them: PYNQ without a board.

What stands behind the registers is the overlay's RTL in a simulator, or the integer model proved equal to it.
Does not know the drivers that use it; those are the same as on silicon.
"""
