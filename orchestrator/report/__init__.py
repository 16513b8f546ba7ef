"""What people and other programs get to see of a job: log, progress, summary.json, tables."""
