"""Takes profiles and a lab file's table, gives boards, relays and faults that stand in for hardware nobody has here.

An ordinary driver family without privileges: the same links, agent and wire carry it, only the far side is emulated.
Does not know policies, the coordinator or the store; whatever it answers is of origin ``emulated``.
"""
