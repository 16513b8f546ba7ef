"""Checks very large lists of phone numbers with a paid bulk API and brings them back as one master sheet."""

__version__ = "0.1.0"
