"""The job's directory: where each file lies (`layout`), and the one reader and writer of each kind.

Intake, results and master meet here, and nowhere else: chunk files, row files, column files and verdict files are
written by one stage and read by another.
"""
