"""Clearing with no chain: files in, a file out."""
