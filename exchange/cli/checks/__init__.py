"""What `pointclear verify` holds its files to: envelopes, streams, line files, statements, and all
of them together.
"""
