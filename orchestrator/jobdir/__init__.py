"""The job's directory."""
