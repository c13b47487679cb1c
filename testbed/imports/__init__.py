"""Takes the folders of published benchmark submissions.

Gives hardware profiles whose every field is cited or derived, and power traces in the form of our own.
Does not know how a profile is used, nor who prints.
"""
