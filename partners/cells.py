"""Text in cells of CSV files, which people open in spreadsheets. Pure.

A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is run by spreadsheets as a
formula, so it is written with an apostrophe before it; so is one that begins with an apostrophe, so
that reading can tell them apart. Our own numbers are not touched.
"""

_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


def neutralised(text: str) -> str:
    """The text as no spreadsheet runs it."""
    return f"'{text}" if text.startswith((*_RUN_BY_SPREADSHEETS, "'")) else text


def original(cell: str) -> str:
    """What was neutralised."""
    return cell.removeprefix("'")
