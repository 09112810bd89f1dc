"""What the commands about one agreement version print."""

from pathlib import Path

from rich.console import RenderableType

from exchange.cli.agreements.agreement_documents import agreement_document, terms_document
from exchange.cli.files import write_output
from exchange.cli.output import answer, pairs
from partners.agreement import Terms
from partners.envelope import to_json
from partners.wire import envelope_from_proto, terms_from_payload
from pointclear.partners.v1.partners_service_pb2 import Agreement


def answer_version(
    as_json: bool,
    verb: str,
    message: Agreement,
    audience: str,
    out: Path | None = None,
    *,
    with_terms: bool = True,
) -> None:
    """Print a version as it stands, and write its signed terms where that is wanted."""
    envelope = envelope_from_proto(message.envelope)
    if out is not None:
        write_output(out, (to_json(envelope) + "\n").encode())
    terms = terms_from_payload(envelope, audience)
    document = agreement_document(message, terms)
    answer(
        as_json,
        document,
        f"{verb} {terms.agreement_id} version {terms.version}: {document['state']}",
        *((terms_table(terms),) if with_terms else ()),
    )


def terms_table(terms: Terms) -> RenderableType:
    """Terms for people, one a line."""
    return pairs((name.replace("_", " "), value) for name, value in terms_document(terms).items())
