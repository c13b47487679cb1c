"""Takes a power to show, gives meters that nobody has: files, a program and servers that speak as the real ones do.

Each is the counterpart of one driver in ``drivers.agent.meters`` or ``drivers.meters`` and has the methods of
``testbed.contracts.meter.Rig``. Does not know boards, loads or time series.
"""
