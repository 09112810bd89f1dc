"""The calls about the close of days and months."""
