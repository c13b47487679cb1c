"""A board's network, emulated packet by packet: delay, jitter, rate, queue and loss, seeded.

Takes the options of a lab file's ``network`` table; gives a way that real TCP, SSH and UDP stacks feel: a TUN forwarder
between network namespaces where the user is root, a relay for datagrams and streams elsewhere. Does not know boards.
"""
