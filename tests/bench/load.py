"""Rates as the client process measures them."""

from dataclasses import dataclass

from tests.bench import echo, floor
from tests.bench.processes import Child

SERVICE = "/pointclear.exchange.v1.ExchangeService"
ORDERS_PER_BATCH = 500
HEADROOM = 1.5
"""Orders made ready, as a multiple of what the last load of the kind used up."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a load came to."""

    per_s: float
    """Orders answered a second."""
    answer_bytes: int
    """Mean size of an answer."""
    p50_ms: float
    """Of a call, from sending it to having its answer: the median."""
    p99_ms: float
    """One call in a hundred took longer."""
    calls: int
    """Answered."""


class Load:
    """Loads of one length, from one client process."""

    def __init__(self, client: Child, exchange: str, seconds: float) -> None:
        """`exchange` is the exchange's address."""
        self._client = client
        self._exchange = exchange
        self._seconds = seconds
        self._rates: dict[tuple[str, int, int], float] = {}

    def transfers(self, per_call: int, in_flight: int) -> Rate:
        """Signed transfers, with `in_flight` calls of `per_call` orders under way at once."""
        method = "CreateTransfer" if per_call == 1 else "BatchCreateTransfers"
        return self._run(self._exchange, f"{SERVICE}/{method}", per_call, in_flight)

    def echoes(self, address: str, in_flight: int) -> Rate:
        """The same requests to the echo server at `address`."""
        return self._run(address, echo.PATH, 1, in_flight, again=True)

    def floors(self, address: str, in_flight: int) -> Rate:
        """Signed orders to the floor server at `address`, each once as to the exchange."""
        return self._run(address, floor.PATH, 1, in_flight)

    def commit(self, orders: int) -> None:
        """Transfer this many orders or a few more, in batches, however long it takes."""
        self._client.ask(do="sign", per_call=ORDERS_PER_BATCH, orders=orders)
        self._send(self._exchange, f"{SERVICE}/BatchCreateTransfers", ORDERS_PER_BATCH, 2, 600.0)

    def _run(
        self, address: str, path: str, per_call: int, in_flight: int, *, again: bool = False
    ) -> Rate:
        expected = self._rates.get((path, per_call, in_flight), 2000.0 if per_call == 1 else 6000.0)
        self._client.ask(
            do="sign", per_call=per_call, orders=round(HEADROOM * expected * self._seconds)
        )
        rate = self._send(address, path, per_call, in_flight, self._seconds, again=again)
        if not again:
            self._rates[path, per_call, in_flight] = rate.per_s
        return rate

    def _send(
        self,
        address: str,
        path: str,
        per_call: int,
        in_flight: int,
        seconds: float,
        *,
        again: bool = False,
    ) -> Rate:
        return Rate(
            **self._client.ask(
                do="load",
                address=address,
                path=path,
                per_call=per_call,
                in_flight=in_flight,
                seconds=seconds,
                again=again,
            )
        )
