"""From signed meter readings to posted, quorum-signed windows.

    messages      the 52 bytes that a meter signs            registry     whose meters they are
    intake        which messages count, and why others not   day          a day's readings as arrays
    validation    readings that cannot be true               estimation   what is missing, and flagged so
    aggregate     registers to accounts                      posting      accounts to signed bytes
    salts, commitments   proof of a reading without publishing it
    node          one node's whole chain of these, and the quorum of several
    homes, forecasts     the measured community, and what its home agents expect of tomorrow

Everything but `homes` (it reads the package's files) is pure: no clock, no file, no randomness.
"""
