"""The composition root: wires the stages of one job. One module a command, called like it, and what several need."""
