"""Profiles one model on one board: takes a lab file, a board and a model; gives an hwprofile.

Takes nothing from other runs but its own journal. Knows no driver: boards are what the inventory opens.
"""
