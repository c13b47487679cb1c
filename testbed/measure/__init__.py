"""From stamps and samples to figures that know how sure they are: clocks, timelines, quantiles, energy, pace.

Takes probes, steps and power samples; gives fits, intervals and `None` with a reason; does not know files (but for
/proc in ``environment``), boards or policies.
"""
