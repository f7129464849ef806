"""The contracts' rules in plain Python, written from docs/formats.md to be read: correct and complete first.

One module for each Solidity library, plain ints, no chain, no clock, no float. Differential tests hold the
two equal. Hashes are 32 `bytes`, addresses 20. What is refused raises a subclass of `errors.Refused`, named
as the contract's custom error.
"""
