"""The calls of PartnersService about taxes: operators add rates, everybody reads them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from partners.agreement import BASIS_POINTS
from partners.caller import Caller
from partners.commands import AddTaxRate
from partners.errors import Reason, Refused
from partners.paging import Paged, page_of
from partners.points import check_id
from partners.registry import Registry, Tax, TaxRate
from partners.wire import time_from_proto, time_to_proto
from pointclear.partners.v1 import partners_service_pb2 as pb


class NewestRegistry(Protocol):
    """Where the newest snapshot comes from."""

    async def refresh(self) -> Registry:
        """The registry as the database has it now."""


class Taxes:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(
        self, carry_out: Callable[[AddTaxRate], Awaitable[object]], registry: NewestRegistry
    ) -> None:
        """`carry_out` has the sequencer carry a command out."""
        self._carry_out = carry_out
        self._registry = registry

    async def add_tax_rate(
        self, request: pb.AddTaxRateRequest, caller: Caller
    ) -> pb.AddTaxRateResponse:
        """Operators: what a tax is from a future instant on."""
        caller.require_operator()
        await self._carry_out(tax_rate_command(request.rate))
        return pb.AddTaxRateResponse(rate=request.rate)

    async def list_tax_rates(
        self, request: pb.ListTaxRatesRequest, caller: Caller
    ) -> pb.ListTaxRatesResponse:
        """Every rate of every code: what is taxed is no secret."""
        registry = await self._registry.refresh()
        rates = [(tax, rate) for _, tax in sorted(registry.taxes.items()) for rate in tax.rates]
        paged = Paged(caller.holder, b"tax rates", request.page_size, request.page_token)
        page = page_of(rates, rate_name, paged)
        return pb.ListTaxRatesResponse(
            rates=[
                pb.TaxRate(
                    tax_code=tax.code,
                    basis_points=rate.basis_points,
                    effective_from=time_to_proto(rate.effective_from),
                )
                for tax, rate in page.items
            ],
            next_page_token=page.next_token,
        )


def rate_name(rate: tuple[Tax, TaxRate]) -> str:
    """Code and instant: a code has one rate from an instant on."""
    tax, from_then = rate
    return f"{tax.code} {from_then.effective_from.isoformat(timespec='microseconds')}"


def tax_rate_command(rate: pb.TaxRate) -> AddTaxRate:
    """The command that adds a rate; raises Refused(FIELD_INVALID) naming the field."""
    check_id(rate.tax_code, "rate.tax_code")
    if not 0 <= rate.basis_points <= BASIS_POINTS:
        raise Refused(
            Reason.FIELD_INVALID, "rate.basis_points", "a rate is 0 to 10,000 basis points"
        )
    return AddTaxRate(
        rate.tax_code,
        time_from_proto(rate.effective_from, "rate.effective_from"),
        rate.basis_points,
        rate.SerializeToString(deterministic=True),
    )
