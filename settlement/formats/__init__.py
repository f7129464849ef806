"""Files of a clearing without a chain: what is read, what is written, and where a mistake is.

source    rows of a CSV or Parquet file as columns, each value with its place
orders    BOOK and FLEX: their columns and bounds
grid      GRID.json
case      all three as a market, a book and flexible orders, with the names behind the indices
result    RESULT.json
memory    arrays of numpy as arrays of Arrow, and back

Nothing here opens a file: callers bring bytes and a name for messages.
"""
