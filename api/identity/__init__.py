"""Who stands behind an account: kept sealed, disclosed to a regulator only with an entry in a log."""
