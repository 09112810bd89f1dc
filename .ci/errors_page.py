"""Writes docs/errors.md to standard output, from the options on the values of `Reason` in
refusal.proto. `make proto` runs it; `make lint` holds the page current.
"""

from collections.abc import Iterable

from google.protobuf.descriptor import EnumValueDescriptor

from pointclear.common.v1 import refusal_pb2 as pb

HEAD = """\
# Errors

Made by `make proto` from `proto/pointclear/common/v1/refusal.proto`; change it there. How a refusal
travels is in [protocol.md](protocol.md#errors).

- **code** is the gRPC status code of the call that is refused. In a batch the call succeeds, and
  each item carries its own refusal.
- **retry** says what may be sent again. SAME_ID: nothing was recorded; send the very same bytes,
  later. NEW_ID: the refusal stands for this id; a new order with a new id may succeed later. NEVER:
  as it stands, the request will never succeed.
- **recorded** says whether an order refused for it has a signed receipt and its place in the log.
  Calls that carry no order record no refusal.
- **field** is what the refusal names as being at fault: `*` is any field of the request, – is none.

Checks are made in the order of the tables, and the first that fails answers.
"""

STAGES = (
    (
        pb.CHECK_STAGE_BEFORE_QUEUE,
        "Before the queue",
        "Nothing is written, and there is no receipt. RATE_LIMITED also answers in place of a\n"
        "recorded refusal that would be one too many in its minute. TRY_LATER may come at any\n"
        "time, also when the outcome is not known.",
    ),
    (
        pb.CHECK_STAGE_SEQUENCER,
        "In the sequencer, not recorded",
        "Nothing is written, and the id stands for what it stood for before, or for nothing.",
    ),
    (
        pb.CHECK_STAGE_RECORDED,
        "In the sequencer, recorded",
        "An order refused for one of these is recorded and receipted, and its id stays refused.",
    ),
    (pb.CHECK_STAGE_OTHER_CALL, "Other calls", "Given only where no order is sent."),
    (
        pb.CHECK_STAGE_RESERVED,
        "Reserved",
        "Part of the list so that it need not grow; nothing gives these yet.",
    ),
)

COLUMNS = ("reason", "code", "retry", "recorded", "field", "remedy")


def main() -> None:
    """Print the page."""
    rules = {value.name: value.GetOptions().Extensions[pb.reason_rule] for value in reasons()}
    print(HEAD, end="")
    for stage, title, text in STAGES:
        chosen = [name for name, rule in rules.items() if rule.stage == stage]
        chosen.sort(key=lambda name: rules[name].place)
        print(f"\n## {title}\n\n{text}\n\n{row(COLUMNS)}\n{row('---' for _ in COLUMNS)}")
        for name in chosen:
            print(row(cells(name, rules[name])))


def reasons() -> Iterable[EnumValueDescriptor]:
    """Every value that is a reason."""
    return (value for value in pb.Reason.DESCRIPTOR.values if value.number)


def cells(name: str, rule: pb.ReasonRule) -> Iterable[str]:
    """What the columns hold."""
    yield f"`{name.removeprefix('REASON_')}`"
    yield rule.code
    yield pb.RetryClass.Name(rule.retry).removeprefix("RETRY_CLASS_")
    yield "yes" if rule.stage == pb.CHECK_STAGE_RECORDED else "no"
    yield ", ".join(f"`{field}`" for field in rule.fields) or "–"
    yield rule.remedy


def row(texts: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(texts)} |"


if __name__ == "__main__":
    main()
