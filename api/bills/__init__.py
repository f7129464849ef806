"""A day's bill as a page that a household reads."""
