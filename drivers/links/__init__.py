"""Takes a place to connect to, gives a byte stream that keeps the promises of `testbed.ports.Link`.

Child processes, SSH by two transports, serial lines; all waits bounded, only `LinkError` comes out.
Does not know what the bytes mean, who sends them or what a board is.
"""
