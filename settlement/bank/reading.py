"""Which of the three formats a bank's file is in, by its content. Pure."""

import codecs

from settlement.bank.camt053 import parse_camt053
from settlement.bank.csv_file import FIRST_ROW, parse_csv
from settlement.bank.mt940 import parse_mt940
from settlement.bank.statement import BankFile, refused

_MARK = b"\xef\xbb\xbf"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def parse_bank_file(content: bytes) -> BankFile:
    """Read a bank file: camt.053, MT940, or our CSV.

    Raises Refused(BANK_FILE_REFUSED) with the place at fault unless it is whole and adds up.
    """
    start = content.removeprefix(_MARK).lstrip()
    if start.startswith(FIRST_ROW[0].encode()):
        return parse_csv(content)
    if start.startswith(b"<"):
        return parse_camt053(content)
    if start.startswith((b":20:", b"{1:", b"{4:")):
        return parse_mt940(content)
    if not start:
        raise refused("content", "the file is empty")
    if content.startswith(_UTF_16_MARKS):
        raise refused("content", "the file is UTF-16; ask the bank for a file in UTF-8 throughout")
    raise refused(
        "content",
        f"the file is neither camt.053 nor MT940 nor begins with {','.join(FIRST_ROW)}",
    )
