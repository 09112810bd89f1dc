"""One exchange for all tests of a process."""

from collections.abc import Iterator

import pytest

from tests.fuzz.founding import house
from tests.fuzz.house import AN_OPERATOR, PARTNER, House
from tests.fuzz.oracle import judge
from tests.fuzz.requests import PARTNERS_OWN, STATEMENTS, WITHOUT_MONEY, good_requests, top_up


@pytest.fixture(scope="session")
def exchange() -> Iterator[House]:
    """An exchange with a history, in which every method was called well once: transfers, refusals,
    a window that was stated, a bank file.
    """
    with pytest.MonkeyPatch.context() as patch, house(patch) as opened:
        brought = top_up().SerializeToString()
        assert judge(opened.call("ImportBankFile", AN_OPERATOR, brought)) == {None}
        for name in ("CreateTransfer", "BatchCreateTransfers", "RequestWithdrawal"):
            statement = STATEMENTS[name]
            for payload in statement.payloads:
                request = statement.request(payload, statement.payload_type, statement.signers)
                judge(opened.call(name, PARTNER, request.SerializeToString()))
        for name, request in good_requests().items():
            caller = PARTNER if name in PARTNERS_OWN else AN_OPERATOR
            answered = judge(opened.call(name, caller, request.SerializeToString()))
            assert answered == {WITHOUT_MONEY.get(name)}, name
        yield opened
