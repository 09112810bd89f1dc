"""`pointclear verify`: reads files, has them checked, and says what does not hold.

Effects: reads files and prints. Needs no server, no database and no network.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exchange.cli.checks.archive import (
    LINE_FILE,
    STATEMENT,
    STREAM,
    PartnerFiles,
    Report,
    check_archive,
    check_stream,
    count_entries,
    merged,
    window_of,
)
from exchange.cli.checks.audit import MANIFEST, check_audit
from exchange.cli.checks.document import check_document, check_pem
from exchange.cli.checks.verification import Broken, Fault, KeySet, read_keys
from exchange.cli.failure import ExitCode
from exchange.cli.files import unusable
from exchange.cli.output import Document, answer, console_of, pairs, visible

KEYS = "keys.json"


def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", exists=True, help="Folders and files to check."),
    ],
    keys_file: Annotated[
        Path | None,
        typer.Option(
            "--keys", metavar="FILE", exists=True, dir_okay=False, help="Public keys to trust."
        ),
    ] = None,
    start_seq: Annotated[
        int, typer.Option("--from-seq", min=1, help="Where streams that were cut begin.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check receipts, credit notices, statements and line files, offline.

    A PATH is a folder such as `pointclear demo` writes, one partner's folder in it, a stream
    (*.jsonl), or one envelope (*.json). Signatures are checked with the keys in --keys, by default
    the folder's own keys.json. Whoever gave you the folder gave you those: compare their ids with
    what the exchange told you another way.

    Exit codes: 0 all that is here holds; 1 something does not, one line for each fault; 2 usage;
    3 a file cannot be read.

    Not checked yet: that a leaf is in the log, that one tree head continues another (both need
    proofs), checkpoints and cosignatures, the agreement behind a rate and a fee, the times of keys,
    what the bank did.
    """
    report = merged(_check_path(path, keys_file, start_seq, as_json) for path in paths)
    if not as_json:
        for fault in report.faults:
            typer.echo(visible(str(fault)))
        for sentence in report.not_checked:
            typer.echo(visible(f"not checked: {sentence}"))
    verdict = f"{len(report.faults)} faults" if report.faults else "everything here holds"
    answer(as_json, document_of(report), pairs([*report.checked.items(), ("verdict", verdict)]))
    if report.faults:
        raise typer.Exit(ExitCode.REFUSED)


def document_of(report: Report) -> Document:
    """A report for machines."""
    return {
        "verified": not report.faults,
        "checked": dict(report.checked),
        "faults": [
            {
                "place": fault.place,
                "what": fault.what,
                "expected": fault.expected,
                "found": fault.found,
            }
            for fault in report.faults
        ],
        "not_checked": list(report.not_checked),
    }


def check_folder(
    folder: Path, keys_file: Path | None = None, start_seq: int = 1, quiet: bool = False
) -> Report:
    """Check a folder laid out as `checks.archive` says, with a progress bar on a terminal.

    Raises FileError for what cannot be read, typer.BadParameter for another layout.
    """
    is_partner = (folder / STREAM).exists()
    keys_file = keys_file or folder / KEYS
    if not keys_file.exists():
        raise typer.BadParameter(f"{folder} holds no {KEYS}; name one with --keys")
    try:
        keys = _read_keys(keys_file)
    except Broken as broken:
        return Report(broken.faults)
    homes = [folder] if is_partner else sorted(_partner_folders(folder))
    if not homes:
        raise typer.BadParameter(f"{folder} holds no partner's folder with a {STREAM}")
    partners = [read_partner(home) for home in homes]
    with _progress(quiet) as progress:
        task = progress.add_task("verifying", total=sum(files.steps for files in partners))
        report = check_archive(partners, keys, start_seq, lambda: progress.advance(task))
    pem_faults = tuple(_pem_faults(folder, keys))
    checked = dict(report.checked)
    is_export = (folder / MANIFEST).exists()
    audit_faults = tuple(check_audit(folder, checked)) if is_export else ()
    return Report((*audit_faults, *pem_faults, *report.faults), checked, report.not_checked)


def read_partner(home: Path) -> PartnerFiles:
    """One partner's folder, which bears its id. Raises FileError."""
    return PartnerFiles(
        partner_id=home.resolve().name,
        place=f"{home}/",
        stream=_lines(home / STREAM) if (home / STREAM).exists() else (),
        statements={
            path.name.removesuffix(STATEMENT): _text(path) for path in home.glob(f"*{STATEMENT}")
        },
        line_files={
            path.name.removesuffix(LINE_FILE): _read(path) for path in home.glob(f"*{LINE_FILE}")
        },
    )


def _check_path(path: Path, keys_file: Path | None, start_seq: int, quiet: bool) -> Report:
    if path.is_dir():
        return check_folder(path, keys_file, start_seq, quiet)
    if keys_file is None:
        raise typer.BadParameter(f"{path} is a file; name the keys to trust with --keys")
    if path.suffix not in (".json", ".jsonl"):
        raise typer.BadParameter(f"{path} is neither an envelope (*.json) nor a stream (*.jsonl)")
    try:
        keys = _read_keys(keys_file)
    except Broken as broken:
        return Report(broken.faults)
    if path.suffix == ".json":
        line_file = path.with_name(window_of(path.name.removesuffix(STATEMENT)) + LINE_FILE)
        beside = path.name.endswith(STATEMENT) and line_file.exists()
        return check_document(
            str(path), _text(path), keys, str(line_file), _read(line_file) if beside else None
        )
    texts = _lines(path)
    with _progress(quiet) as progress:
        task = progress.add_task("verifying", total=len(texts))
        chain, faults = check_stream(
            str(path), texts, keys, None, start_seq, lambda: progress.advance(task)
        )
    return Report(tuple(faults), count_entries(chain))


def _partner_folders(folder: Path) -> Iterable[Path]:
    """Whatever holds a file of a partner: a lost stream must not hide the statements beside it."""
    for home in folder.iterdir():
        if home.is_dir() and any(
            any(home.glob(f"*{name}")) for name in (STREAM, STATEMENT, LINE_FILE)
        ):
            yield home


def _pem_faults(folder: Path, keys: KeySet) -> Iterable[Fault]:
    """The files for other people's tools must hold the keys that were used here."""
    for path in sorted((folder / "keys").glob("*.pem")):
        yield from check_pem(str(path), path.stem, _read(path), keys)


def _read_keys(path: Path) -> KeySet:
    return read_keys(str(path), _read(path))


def _progress(quiet: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = console_of(file=typer.get_text_stream("stderr"))
    return Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(_text(path).removesuffix("\n").split("\n")) if path.stat().st_size else ()


def _text(path: Path) -> str:
    # A byte that is not UTF-8 becomes a character that no base64 holds, so its envelope is refused.
    return _read(path).decode(errors="replace")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unusable(path, error) from None
