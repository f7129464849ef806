"""Messages that participants sign and the API sends for them: they need no gas."""
