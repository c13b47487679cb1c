"""A board, a meter and a policy of one's own, beside the testbed."""
