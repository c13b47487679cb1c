"""Turns events into effects, and effects into bytes.

Takes requests, a policy and boards; gives records and an event log; does not know how boards are reached.
"""
