"""From a run folder to tables, plots and machine-readable documents.

Takes a `Run` from the store and nothing else, gives frozen rows and their renderings; does not know labs, boards or
policies beyond their names, so it works years later without a lab.
"""
