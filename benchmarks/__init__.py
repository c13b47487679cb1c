"""How fast the testbed itself is (`make bench`); figures are of this machine, and no test rests on them."""
