"""A small brand that takes instructions from an exchange as JSON over HTTPS: docs/http-program.md.

Nothing of Pointclear is imported: this is what a brand's engineer writes. It keeps its members and
its answers in one SQLite file. What it must get right, and where:

- An instruction is carried out in the transaction that stores its answer (`Journal.carry_out`), so
  that a crash leaves both or neither, and the same one again is answered as it was first.
- A look-up of what never came stores that answer (`Journal.look_up`): it is a fence, and the
  instruction is declined if it comes later.
- Every request is verified before anything is done, every answer signed (`Signatures`).

    python brand.py enrol --journal airline.db anna ben
    python brand.py serve --profile airline --journal airline.db --exchange-key receipts.pem
"""

import argparse
import hashlib
import json
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    MappingKeyResolver,
    algorithms,
)
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
BODY_BYTES_MAX = 64 * 1024
STOP_S = 5

SCHEMA = """
CREATE TABLE IF NOT EXISTS member (reference TEXT PRIMARY KEY, points INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS instruction (
    kind TEXT, id TEXT,
    content TEXT,        -- what was asked for; NULL where a look-up came first
    credit_id TEXT,      -- of a reversal: what it takes back
    member TEXT, points INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL,
    PRIMARY KEY (kind, id)
);
"""


@dataclass(frozen=True, slots=True)
class Profile:
    """Who we are, and for whom."""

    audience: str
    """The exchange and environment."""
    partner_id: str
    program: str
    base_url: str
    """Under which the exchange calls; it signs this, so it is not taken from the request."""


class Declined(Exception):
    """The instruction is not carried out; the reason is one of the protocol's."""


class Journal:
    """Members, instructions and answers in one file."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)

    def add_members(self, references: list[str]) -> None:
        """People join; harmless when it is repeated."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO member (reference) VALUES (?)",
                [(each,) for each in references],
            )

    def points(self, reference: str) -> int | None:
        """What a member has; None for nobody."""
        with self._lock:
            row = self._db.execute("SELECT points FROM member WHERE reference = ?", (reference,))
            found = row.fetchone()
        return found[0] if found else None

    def carry_out(self, kind: str, asked: Json) -> Json:
        """The answer to an instruction, which is carried out unless it was answered before."""
        content = digest_of(asked)
        with self._lock, self._db:
            # Commits at the end of the block: points and answer together, on the disk.
            self._db.execute("BEGIN IMMEDIATE")
            known = self._known(kind, asked["instruction_id"])
            if known:
                before, answer = known
                if before == content:
                    return answer
                # Nothing is stored: what was answered first stands.
                return self._answer(
                    kind, asked["instruction_id"], reason="CONFLICT" if before else "OTHER"
                )
            try:
                move = self._give if kind == "CREDIT" else self._take_back
                points = move(asked)
                answer = self._answer(kind, asked["instruction_id"], points=points)
            except Declined as declined:
                points = 0
                answer = self._answer(kind, asked["instruction_id"], reason=str(declined))
            self._db.execute(
                "INSERT INTO instruction VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    kind,
                    asked["instruction_id"],
                    content,
                    asked.get("transfer_id"),
                    asked["member"],
                    points,
                    json.dumps(answer),
                ),
            )
            return answer

    def look_up(self, asked: Json) -> Json:
        """What was answered; what never came is fenced off for ever."""
        kind, instruction_id = asked["kind"], asked["instruction_id"]
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            known = self._known(kind, instruction_id)
            if known:
                return known[1]
            answer = self._answer(kind, instruction_id)
            self._db.execute(
                "INSERT INTO instruction (kind, id, answer) VALUES (?, ?, ?)",
                (kind, instruction_id, json.dumps(answer)),
            )
            return answer

    def _known(self, kind: str, instruction_id: str) -> tuple[str | None, Json] | None:
        row = self._db.execute(
            "SELECT content, answer FROM instruction WHERE kind = ? AND id = ?",
            (kind, instruction_id),
        ).fetchone()
        return (row[0], json.loads(row[1])) if row else None

    def _give(self, asked: Json) -> int:
        points = int(asked["points"])
        self._move(asked["member"], points)
        return points

    def _take_back(self, asked: Json) -> int:
        given, taken = self._db.execute(
            "SELECT (SELECT points FROM instruction WHERE kind = 'CREDIT' AND id = :credit"
            "        AND member = :member),"
            "       (SELECT coalesce(sum(points), 0) FROM instruction"
            "        WHERE kind = 'REVERSE' AND credit_id = :credit)",
            {"credit": asked["transfer_id"], "member": asked["member"]},
        ).fetchone()
        (has,) = self._db.execute(
            "SELECT coalesce((SELECT points FROM member WHERE reference = ?), 0)",
            (asked["member"],),
        ).fetchone()
        points = min(int(asked["points"]), (given or 0) - taken, has)
        if points <= 0:
            raise Declined("SPENT" if given else "OTHER")
        self._move(asked["member"], -points)
        return points

    def _move(self, member: str, points: int) -> None:
        changed = self._db.execute(
            "UPDATE member SET points = points + ? WHERE reference = ?", (points, member)
        )
        if not changed.rowcount:
            raise Declined("MEMBER_UNKNOWN")

    def _answer(
        self, kind: str, instruction_id: str, points: int = 0, reason: str | None = None
    ) -> Json:
        # No member in it: the exchange keeps this for ever.
        answer: Json = {
            "instruction_id": instruction_id,
            "kind": kind,
            "outcome": "DONE" if points else "DECLINED" if reason else "NEVER",
            "decided_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        }
        if points:
            answer |= {"points": str(points), "program_reference": f"{kind}-{instruction_id}"}
        if reason:
            answer["reason"] = reason
        return answer


def digest_of(asked: Json) -> str:
    """What makes two instructions the same: all but what may change while one is delivered."""
    lasting = {key: asked[key] for key in sorted(asked) if key not in ("committed", "source_key")}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


@dataclass
class HttpRequest:
    """What a signature in a request is about."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass
class HttpResponse:
    """What a signature in a response is about."""

    status_code: int
    request: HttpRequest
    headers: dict[str, str] = field(default_factory=dict)


class Signatures:
    """Verifies requests and signs answers (RFC 9421, RFC 9530)."""

    def __init__(self, key: Ed25519PrivateKey, exchange_keys: list[Ed25519PublicKey]) -> None:
        self.key_id = key_id_of(key.public_key())
        keys = MappingKeyResolver(
            public_keys={key_id_of(each): each for each in exchange_keys},
            private_keys={self.key_id: key},
        )
        self._verifier = HTTPMessageVerifier(
            signature_algorithm=algorithms.ED25519, key_resolver=keys
        )
        self._signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=keys)

    def verify(self, request: HttpRequest, body: bytes) -> None:
        """Raise HTTPMessageSignaturesException unless the exchange sent this, to us."""
        self._verifier.verify(
            request,
            max_age=timedelta(minutes=10),
            expect_tag="pointclear",
            require_components=("@method", "@target-uri", "content-digest"),
            body=body,
        )

    def sign(self, response: HttpResponse, body: bytes) -> dict[str, str]:
        """The headers of an answer: its digest, and a signature over the status, the digest and
        the request's signature.
        """
        self._signer.sign(
            response,
            key_id=self.key_id,
            tag="pointclear",
            covered_component_ids=("@status", "content-digest", '"signature";req;key="pointclear"'),
            body=body,
        )
        return response.headers


def key_id_of(key: Ed25519PublicKey) -> str:
    """The id that a key gives itself."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


class Brand:
    """The endpoints."""

    def __init__(self, profile: Profile, journal: Journal, signatures: Signatures) -> None:
        self.profile = profile
        self.journal = journal
        self.signatures = signatures

    def routes(self) -> list[Route]:
        """One POST for each question."""
        return [
            self._route("/credits", self.credit),
            self._route("/reversals", self.reverse),
            self._route("/look-ups", self.look_up),
            self._route("/members/validate", self.validate),
            self._route("/members/balance", self.balance),
        ]

    def credit(self, asked: Json) -> Json:
        """Give points."""
        return self.word(self.journal.carry_out("CREDIT", asked))

    def reverse(self, asked: Json) -> Json:
        """Take points back."""
        return self.word(self.journal.carry_out("REVERSE", asked))

    def look_up(self, asked: Json) -> Json:
        """What became of an instruction."""
        return self.word(self.journal.look_up(asked))

    def word(self, answer: Json) -> Json:
        """An answer as ours, for one exchange."""
        profile = self.profile
        return answer | {
            "audience": profile.audience,
            "partner_id": profile.partner_id,
            "program": profile.program,
        }

    def validate(self, asked: Json) -> Json:
        """Whether a member may take part."""
        known = self.journal.points(asked["member"]) is not None
        return {"eligibility": "ELIGIBLE" if known else "UNKNOWN"}

    def balance(self, asked: Json) -> Json:
        """What a member may spend."""
        return {"points": str(self.journal.points(asked["member"]) or 0)}

    def _route(self, path: str, answer_to: Callable[[Json], Json]) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self.respond(path, request, answer_to)

        return Route(path, endpoint, methods=["POST"])

    async def respond(
        self, path: str, request: Request, answer_to: Callable[[Json], Json]
    ) -> Response:
        """Verify, act, sign. Anything but a signed 200 tells the exchange nothing."""
        body = await request.body()
        asked_by = HttpRequest("POST", self.profile.base_url + path, dict(request.headers))
        if len(body) > BODY_BYTES_MAX:
            return problem(413, "the request is too large")
        try:
            self.signatures.verify(asked_by, body)
            asked = json.loads(body)
        except (HTTPMessageSignaturesException, ValueError) as error:
            return problem(401, f"the request is not signed as it must be: {error}")
        if (asked["audience"], asked["program"]) != (self.profile.audience, self.profile.program):
            return problem(403, "this is meant for another audience or program")
        return self.signed(asked_by, await run_in_threadpool(answer_to, asked))

    def signed(self, asked_by: HttpRequest, answer: Json) -> Response:
        """An answer that the exchange can hold us to."""
        body = json.dumps(answer).encode()
        headers = self.signatures.sign(HttpResponse(200, asked_by), body)
        return Response(body, 200, headers, media_type="application/json")


def problem(status: int, detail: str) -> Response:
    """A refusal to answer, for people (RFC 9457)."""
    return JSONResponse(
        {"status": status, "detail": detail}, status, media_type="application/problem+json"
    )


def open_brand(given: argparse.Namespace, base_url: str) -> Brand:
    """The brand whose profile the command line names."""
    folder: Path = given.profile
    known = json.loads((folder / "profile.json").read_text())
    partner_id = known["identity"].rpartition("/")[2]
    profile = Profile(known["audience"], partner_id, given.program or partner_id, base_url)
    passphrase = (folder / "passphrase").read_bytes().strip()
    key = load_pem_private_key((folder / "keys" / "orders.pem").read_bytes(), passphrase)
    exchange_keys = [load_pem_public_key(each.read_bytes()) for each in given.exchange_key]
    if not isinstance(key, Ed25519PrivateKey) or not all(
        isinstance(each, Ed25519PublicKey) for each in exchange_keys
    ):
        raise SystemExit("orders.pem and the exchange's keys are Ed25519 keys")
    return Brand(profile, Journal(given.journal), Signatures(key, exchange_keys))


def serve(brand: Brand, profile: Path, listening: socket.socket) -> None:
    """Answer until told to stop."""
    config = uvicorn.Config(
        Starlette(routes=brand.routes()),
        ssl_certfile=profile / "serving-tls.pem",
        ssl_keyfile=profile / "serving-tls-key.pem",
        log_level="warning",
        # Its lines would hold what nobody asked for; the journal has the instructions.
        access_log=False,
        # A caller that keeps its connection and does not read it would hold us up for long.
        timeout_graceful_shutdown=STOP_S,
    )
    uvicorn.Server(config).run(sockets=[listening])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    enrol = commands.add_parser("enrol", help="members join")
    enrol.add_argument("members", nargs="+", metavar="MEMBER")
    serving = commands.add_parser("serve", help="take the exchange's calls")
    serving.add_argument("--profile", type=Path, required=True, metavar="DIR")
    serving.add_argument("--exchange-key", type=Path, required=True, action="append", metavar="PEM")
    serving.add_argument("--listen", default="127.0.0.1:8443", metavar="HOST:PORT")
    serving.add_argument("--base-url", help="where the world reaches us, if not there")
    serving.add_argument("--program", metavar="ID", help="if not named like the brand")
    serving.add_argument("--members", type=Path, metavar="FILE", help="enrol these first")
    for each in (enrol, serving):
        each.add_argument("--journal", type=Path, required=True, metavar="FILE")
    return parser.parse_args()


def main(make: Callable[[argparse.Namespace, str], Brand] = open_brand) -> None:
    """Run the command line."""
    given = arguments()
    if given.command == "enrol":
        Journal(given.journal).add_members(given.members)
        return
    if given.members:
        Journal(given.journal).add_members(given.members.read_text().split())
    host, _, port = given.listen.rpartition(":")
    listening = socket.create_server((host, int(port)))
    address = f"{host}:{listening.getsockname()[1]}"
    brand = make(given, given.base_url or f"https://{address}")
    print(json.dumps({"event": "ready", "address": address}), flush=True)
    serve(brand, given.profile, listening)


if __name__ == "__main__":
    sys.exit(main())
