"""Runs an experiment: a question, its factors, and one trial for each point of the design.

Takes an experiment folder and a lab; gives a run folder; does not know how boards are reached.
"""

from testbed.campaign.run import run_experiment

__all__ = ["run_experiment"]
