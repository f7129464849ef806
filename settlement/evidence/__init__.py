"""Evidence of one order, checked with no network: from its signature to what its day was settled at."""
