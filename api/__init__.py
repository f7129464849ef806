"""The HTTP interface for participants, operators and auditors."""
