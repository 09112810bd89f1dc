"""Between the wire's messages and the exchange's values: orders in; records, papers and refusals
out.
"""
