"""What is settled beside the chain's first run, as pure functions of plain integers: when runs are due,
imbalances of many accounts at once, flexibility against a baseline, sharing keys, credit cover.

Nothing here knows a chain, a database, a file or a clock. Energy is Wh, a price micro/kWh, cash nano; a share
is parts per million. docs/rules.md tells the rules in words, with examples.
"""
