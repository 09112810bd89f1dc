"""Between the wire's messages and the operator's own funds."""

from partners.wire import time_to_proto
from pointclear.settlement.v1 import own_funds_pb2 as pb
from settlement.own_funds.withdrawal import OwnFunds, OwnWithdrawal


def own_funds_message(funds: OwnFunds) -> pb.ListOwnFundsResponse:
    """All that is the operator's in a currency."""
    return pb.ListOwnFundsResponse(
        accounts=[
            pb.OwnAccount(
                name=each.name,
                posted=each.posted,
                on_its_way=each.on_its_way,
                free=funds.free(each),
            )
            for each in funds.accounts
        ],
        withdrawals=map(withdrawal_message, funds.withdrawals),
    )


def withdrawal_message(withdrawal: OwnWithdrawal) -> pb.OwnWithdrawal:
    """A withdrawal as the wire shows it."""
    return pb.OwnWithdrawal(
        number=withdrawal.number,
        account=withdrawal.account,
        amount=withdrawal.amount,
        reference=withdrawal.reference,
        state=pb.OwnWithdrawalState.Value(f"OWN_WITHDRAWAL_STATE_{withdrawal.state}"),
        log_index=withdrawal.log_index,
        recorded_at=time_to_proto(withdrawal.recorded_at),
    )
