"""Which reports there are, for whom, and in which formats. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from partners.errors import Reason, Refused


class Kind(StrEnum):
    """What a report is."""

    STATEMENT = "statement"
    LINES = "lines"
    CORRIDORS = "corridors"
    JOURNAL = "journal"
    PAYMENT_REQUEST = "payment-request"
    REMITTANCE_ADVICE = "remittance-advice"
    NET_MATRIX = "net-matrix"
    BANK_PROOF = "bank-proof"


class Format(StrEnum):
    """How a report is written; also how its file's name ends."""

    PDF = "pdf"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of report."""

    formats: tuple[Format, ...]
    is_operators: bool = False
    """Whether it is about all partners, and so for the operator alone."""
    is_versioned: bool = False
    """Whether each version of a statement has its own. What a window came to has no versions."""
    is_occasional: bool = False
    """Whether there is one only where a statement asks for a payment that way."""


OUTPUTS: Mapping[Kind, Output] = MappingProxyType(
    {
        Kind.STATEMENT: Output((Format.PDF, Format.CSV), is_versioned=True),
        Kind.LINES: Output((Format.CSV, Format.XLSX)),
        Kind.CORRIDORS: Output((Format.CSV, Format.XLSX)),
        Kind.JOURNAL: Output((Format.CSV, Format.JSON), is_versioned=True),
        Kind.PAYMENT_REQUEST: Output((Format.PDF,), is_versioned=True, is_occasional=True),
        Kind.REMITTANCE_ADVICE: Output((Format.PDF,), is_versioned=True, is_occasional=True),
        Kind.NET_MATRIX: Output((Format.PDF, Format.CSV, Format.XLSX), is_operators=True),
        Kind.BANK_PROOF: Output((Format.PDF, Format.CSV), is_operators=True),
    }
)


@dataclass(frozen=True, slots=True)
class ReportName:
    """Names one file."""

    kind: str
    period: str
    """A window's id, or a month such as `2026-11`."""
    partner_number: int
    """0 for the operator's own."""
    version: int
    """Of the statement that it rests on, from 1; always 1 where there are no versions."""
    format: str

    @property
    def file_name(self) -> str:
        """What the file is called where it is saved."""
        version = f".v{self.version}" if self.version > 1 else ""
        return f"{self.period}.{self.kind}{version}.{self.format}"


def output_of(kind: str, format_: str) -> tuple[Kind, Format]:
    """Kind and format by their names; raises Refused(FIELD_INVALID) for what there is not."""
    try:
        found = Kind(kind)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, "kind", f"{kind!r} is none of {', '.join(Kind)}"
        ) from None
    formats = OUTPUTS[found].formats
    if format_ not in formats:
        raise Refused(
            Reason.FIELD_INVALID,
            "format",
            f"{found} is written as {' or '.join(formats)}, not as {format_!r}",
        )
    return found, Format(format_)
