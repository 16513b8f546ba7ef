"""TOML → settings, with messages that name file, line and key; the vendor's key; the starter files of `init`."""

from orchestrator.config.keys import read_key, secrets_in
from orchestrator.config.loading import load
from orchestrator.config.starter import write_starter

__all__ = ["load", "read_key", "secrets_in", "write_starter"]
