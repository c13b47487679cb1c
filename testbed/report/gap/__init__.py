"""The gap between a live run and the same campaign in virtual time."""
