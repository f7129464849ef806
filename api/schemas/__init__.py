"""What travels: one module a subject."""
