"""The order intake: orders and cancels come in, receipts go out; what is promised is written down before."""
