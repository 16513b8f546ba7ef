"""Drops duplicates: of every number the first appearance stays."""
