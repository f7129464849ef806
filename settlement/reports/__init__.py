"""The report of a delivery day: what happened, what it meant for each home, and how to show it.

facts      what a report is made of, as collected from a chain
economics  what follows from the facts: bills, gains, the market, carbon, and the sums that must be zero
export     summary.json and CSV files
tables     for the terminal
plots      SVG figures
html       one self-contained page
"""
