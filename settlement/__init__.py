"""The settlement core: market, rules and chain access of Trellis."""
