"""Between the wire's messages and operators as values."""

from collections.abc import Iterable

from partners.certification import SCENARIOS_MAX, CertificationReport, Method, Verdict
from partners.errors import Reason, Refused
from partners.operators.roles import Role
from partners.points import check_id
from partners.wire import parse_strictly, time_from_proto
from pointclear.partners.v1 import certification_pb2
from pointclear.partners.v1 import operator_service_pb2 as pb


def role_from_proto(role: pb.Role.ValueType, field: str) -> Role:
    """The role; raises Refused(FIELD_INVALID) when it is not stated."""
    name = pb.Role.Name(role).removeprefix("ROLE_") if role in pb.Role.values() else ""
    if name not in Role.__members__:
        raise Refused(Reason.FIELD_INVALID, field, "the role is not stated")
    return Role[name]


def operator_to_proto(name: str, roles: Iterable[Role]) -> pb.Operator:
    """An operator as the wire shows it, roles in the order of their declaration."""
    held = frozenset(roles)
    shown = [pb.Role.Value(f"ROLE_{role.name}") for role in Role if role in held]
    return pb.Operator(name=name, roles=shown)


def report_from_payload(payload: bytes) -> CertificationReport:
    """What a `certification-report` payload says; raises Refused for one that is malformed."""
    report = parse_strictly(certification_pb2.CertificationReport(), payload)
    if len(report.scenarios) > SCENARIOS_MAX:
        raise Refused(
            Reason.FIELD_INVALID, "certification.scenarios", f"at most {SCENARIOS_MAX} scenarios"
        )
    return CertificationReport(
        report.audience,
        check_id(report.partner_id, "certification.partner_id"),
        _method(report.method),
        tuple((each.name, _verdict(each.verdict)) for each in report.scenarios),
        time_from_proto(report.issued_at, "certification.issued_at"),
    )


def _method(method: certification_pb2.CertificationMethod.ValueType) -> Method | None:
    known = method in certification_pb2.CertificationMethod.values()
    name = certification_pb2.CertificationMethod.Name(method) if known else ""
    return Method.__members__.get(name.removeprefix("CERTIFICATION_METHOD_"))


def _verdict(verdict: certification_pb2.Verdict.ValueType) -> Verdict:
    """What is not stated, or stated in words that are not known here, is no pass."""
    known = verdict in certification_pb2.Verdict.values()
    name = certification_pb2.Verdict.Name(verdict) if known else ""
    return Verdict.__members__.get(name.removeprefix("VERDICT_"), Verdict.FAILED)
