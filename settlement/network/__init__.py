"""Permissioned networks of validators: built, started, watched, and who may do what on them."""
