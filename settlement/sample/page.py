"""The page that lies in a sample's folder. Pure."""

from collections.abc import Sequence

from settlement.sample.coalition import Coalition
from settlement.sample.own_file import Planted

_PAGE = """\
# Sample papers for {own}

Made by `pointclear sandbox statements` for the audience {audience}, from the seed {seed}:
the same partner and seed give the same bytes. Nothing of it has happened. Its keys follow from the
seed, so anybody has them: they are registered nowhere, and prove nothing outside this folder.

Two settlement days of {currency}, `{first}` and `{second}`, between `{own}`, `{near}` and
`{far}`. Two corridors have a bonus: from `{near}` to `{own}`, paid by `{own}` and `{far}`, and
from `{near}` to `{far}`, paid by `{own}` and `{near}`. One order of each day is refused: its
receipt is in its source's stream, and no line counts it.

| file | what it is |
| --- | --- |
| `keys.json`, `keys/` | the public keys under which all of this verifies |
| `{own}/receipts.jsonl` | your stream: receipts, credit notices, funding notices |
| `{own}/<window>.statement.json` | the day's signed statement |
| `{own}/<window>.lines.csv` | the line file that it names by its digest, as real ones are |
| `{own}/<window>.own.csv` | what your own system might have written of that day |
| `{near}/`, `{far}/` | the same of the others, so that a whole window can be checked |
| `bank/` | what the bank of the settlement account wrote |

Check all of it offline, with this folder's name for DIR: `pointclear verify DIR`.

## What is planted

Match `{own}/{first}.own.csv` with `{own}/{first}.lines.csv`. A line whose role is
`funder` has no row in your own file: it moved none of your points. All others agree but these:

| break | transfer | your own file |
| --- | --- | --- |
{planted}

The last one is in `{own}/{second}.own.csv`, which agrees with its lines but for that
row: a break that clears itself the next day.

## The bank

| file | what partners did |
| --- | --- |
{bank}

On time, short and late are alternatives for the same day, each from an empty account. The
statements of `{second}` go on from the first: see their `payments_since`.
"""

_PAID = {
    "on-time-pay-in": "all paid on the due day",
    "on-time-pay-out": "and were paid out of it",
    "short-pay-in": "each paid one whole unit of the currency too little",
    "late-pay-in": "all paid three days after the due day; nothing could be paid out before",
}


def page(
    coalition: Coalition,
    window_ids: Sequence[str],
    planted: Sequence[Planted],
) -> str:
    """What is in the folder, and what is wrong with it on purpose."""
    near, far = coalition.others
    first, second = window_ids
    return _PAGE.format(
        own=coalition.own.partner_id,
        near=near.partner_id,
        far=far.partner_id,
        audience=coalition.audience,
        seed=coalition.seed.number,
        currency=coalition.currency.code,
        first=first,
        second=second,
        planted="\n".join(
            f"| {each.kind} | `{each.transfer_id}` | {each.what} |" for each in planted
        ),
        bank="\n".join(
            f"| `bank/{first}-{name}.bank.csv` | {what} |" for name, what in _PAID.items()
        ),
    )
