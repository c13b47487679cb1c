"""Takes a switch's table of the lab file, gives power on, off and cycle; entry points ``testbed.switches``.

A switch says when it could not do it, and never tries again by itself.
Does not know which board hangs on it, why it is switched, or who may switch it.
"""
