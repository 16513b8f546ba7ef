"""Submit, poll, download: the life of every task, paced, repeated with care, and recorded before it counts."""
