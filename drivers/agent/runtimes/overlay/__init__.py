"""Takes compiled programs and pictures, gives probabilities: inference in the programmable logic of a PYNQ board.

One overlay is in the logic at a time, its buffers are allocated once, programs stay in DDR and their weights on chip.
Does not know how a program was compiled, nor whether the logic is silicon, RTL in a simulator, or a model of it.
"""
