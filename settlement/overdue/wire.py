"""Between the wire's messages and what is overdue."""

from partners.wire import time_to_proto
from pointclear.settlement.v1 import overdue_pb2 as pb
from settlement.overdue.unwinding import UnwindReport
from settlement.overdue.waterfall import Overdue


def overdue_message(each: Overdue, currency: str) -> pb.OverduePayment:
    """An overdue pay-in as the wire shows it."""
    leg, known = each.leg, each.known
    message = pb.OverduePayment(
        partner_id=leg.partner_id,
        window_id=leg.window_id,
        currency=currency,
        amount=leg.amount,
        reference=leg.reference,
        due_date=each.due_date.isoformat(),
        overdue_since=time_to_proto(each.overdue_since),
        steps=(pb.OverdueStep.Value(f"OVERDUE_STEP_{step}") for step in each.steps),
        collateral=known.collateral,
        short=each.short,
        drawn=known.drawn,
        on_hold=known.on_hold,
    )
    if known.reminded_at is not None:
        message.reminded_at.CopyFrom(time_to_proto(known.reminded_at))
    return message


def report_message(report: UnwindReport) -> pb.GetUnwindReportResponse:
    """An unwind report as the wire shows it."""
    return pb.GetUnwindReportResponse(
        currency=report.currency,
        scale=report.scale,
        parties=(
            pb.UnwoundParty(
                partner_id=each.partner_id,
                net=each.net,
                withheld_before=each.withheld_before,
                withheld=each.withheld,
                due_before=each.due_before,
                due_after=each.due_after,
                payment_before=each.payment_before,
                payment_after=each.payment_after,
            )
            for each in report.parties
        ),
        withheld_total=report.withheld_total,
        pay_ins=report.pay_ins,
        pay_outs=report.pay_outs,
    )
