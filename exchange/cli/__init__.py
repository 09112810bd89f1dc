"""The command line: each command speaks to the exchange as a partner or an operator would."""
