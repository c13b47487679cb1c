"""Policies over the cells of a grid of conditions, in virtual time."""
