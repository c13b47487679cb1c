"""Makes requests from a seed.

Takes a workload description; gives requests relative to a start; does not know policies, boards or payloads.
"""
