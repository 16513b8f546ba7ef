"""Decides about whole blocks of plain digits, from tables that are built from the metadata of `phonenumbers`."""
