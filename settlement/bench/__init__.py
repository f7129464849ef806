"""Benchmarks: `trellis bench NAME` measures on this machine, for later work to be compared by.

registry    what a bench is, and which there are; packages add theirs through entry points
cli         the command, its JSON and its table
community   homes that trade and settle days on an embedded chain, the same every time
gas, chain  the benches of clearing and settling
"""
