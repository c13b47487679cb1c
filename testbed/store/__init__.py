"""The record of a run: an append-only journal per trial, a header before it, a footer after it.

Takes finished values (records, probes, samples, events), gives them back years later as a `Run`; does not know
boards, policies, or what the numbers mean.
"""
