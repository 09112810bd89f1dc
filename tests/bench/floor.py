"""The least that a signed and durable answer costs.

`python -m tests.bench.floor DATA_DIR DATABASE_URL KEYS ANSWER_BYTES`. A throw-away clearing house
without books: it verifies the order's signature, stores the order under its id, many in one commit,
and signs an answer. No fields are checked, nothing is decided, posted, recorded, hashed or chained.
Everything that the exchange does besides stands between its rate and this one's; everything that
Python, gRPC, Ed25519 and a commit cost stands between this rate and the echo's.
"""

import asyncio
import json
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue

import grpc
import psycopg2
from nacl.bindings import crypto_sign_open

from exchange.grpc_listener import listening
from exchange.host_keys import HostKeys, load_host_keys
from exchange.ledger.array_literal import array_literal
from exchange.server import loop_factory, stop_request
from partners.envelope import TRANSFER_ORDER, TRANSFER_RECEIPT, pae
from partners.keys import Purpose
from pointclear.common.v1.envelope_pb2 import Signature, SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    CreateTransferRequest,
    CreateTransferResponse,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder

SERVICE, METHOD = "bench.Floor", "Floor"
PATH = f"/{SERVICE}/{METHOD}"
BATCH_MAX = 1000
AROUND_BYTES = 165
"""What an answer has around the payload: its type, key id and signature."""
TABLE = "CREATE TABLE kept (id uuid PRIMARY KEY, payload bytea NOT NULL, signature bytea NOT NULL)"
PREPARE = """
PREPARE keep (uuid[], bytea[], bytea[]) AS INSERT INTO kept SELECT * FROM unnest($1, $2, $3)
"""

Kept = tuple[str, bytes, bytes]


class Writer:
    """One thread that stores whatever is waiting, in one commit."""

    def __init__(self, database_url: str, loop: asyncio.AbstractEventLoop) -> None:
        """`database_url` is of an empty database."""
        self._connection = psycopg2.connect(database_url)
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()
        self._cursor.execute(f"{TABLE}; {PREPARE}")
        self._loop = loop
        self._waiting: SimpleQueue[tuple[Kept, asyncio.Future[None]]] = SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def keep(self, row: Kept) -> "asyncio.Future[None]":
        """Done when the row is on the disk."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.put((row, done))
        return done

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < BATCH_MAX:
                try:
                    batch.append(self._waiting.get_nowait())
                except Empty:
                    break
            columns = zip(*(row for row, _ in batch), strict=True)
            self._cursor.execute("EXECUTE keep (%s, %s, %s)", [*map(array_literal, columns)])
            self._loop.call_soon_threadsafe(self._answer, [done for _, done in batch])

    @staticmethod
    def _answer(waiting: "list[asyncio.Future[None]]") -> None:
        for done in waiting:
            done.set_result(None)


async def serve(
    keys: HostKeys, database_url: str, public_keys: dict[str, bytes], answer_bytes: int
) -> None:
    """Serve until told to stop."""
    writer = Writer(database_url, asyncio.get_running_loop())
    receipts = keys.signers[Purpose.RECEIPTS]

    async def answer(raw: bytes, _context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        order = CreateTransferRequest.FromString(raw).order
        (signature,) = order.signatures
        signed = pae(TRANSFER_ORDER, order.payload)
        crypto_sign_open(signature.signature + signed, public_keys[signature.key_id])
        transfer_id = TransferOrder.FromString(order.payload).transfer_id.hex()
        await writer.keep((transfer_id, order.payload, signature.signature))
        payload = order.payload.ljust(answer_bytes - AROUND_BYTES)
        receipt = Signature(
            key_id=receipts.key_id, signature=receipts.sign(pae(TRANSFER_RECEIPT, payload))
        )
        return CreateTransferResponse(
            receipt=SignedEnvelope(
                payload_type=TRANSFER_RECEIPT, payload=payload, signatures=[receipt]
            )
        ).SerializeToString()

    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    services = (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
    told = stop_request()
    async with listening(services, keys, "127.0.0.1:0") as address:
        print(json.dumps({"address": address}), flush=True)
        await told.wait()


if __name__ == "__main__":
    given = {key_id: bytes.fromhex(key) for key_id, key in json.loads(sys.argv[3]).items()}
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(load_host_keys(Path(sys.argv[1])), sys.argv[2], given, int(sys.argv[4])))
