"""The root of all refusals."""


class Refused(Exception):
    """What the contract would revert with; `args` are the error's arguments."""
