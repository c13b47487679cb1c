"""Takes a driver or policy, gives the tests that it must pass; an author subclasses one class.

One file a port: link, board, meter, switch, policy. Does not know any particular driver.
"""
