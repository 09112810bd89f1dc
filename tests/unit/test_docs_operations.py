"""The operations page names every setting and metric there is, and no other."""

import re
from pathlib import Path

from exchange.delivery.metrics import DeliveryMetrics
from exchange.metrics import Metrics
from exchange.outbound.watch import ProgramMetrics
from exchange.settings import Settings
from partners.actions.rules import RULES
from settlement.calendar.metrics import WindowMetrics
from settlement.overdue.reminding import OverdueMetrics

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading, up to the next one of its kind."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def settings_table() -> str:
    """The rows as the settings themselves say them."""
    return "\n".join(
        f"| `{name}` | {'–' if each.default is None else each.default} | {each.description} |"
        for name, each in Settings.model_fields.items()
    )


def metrics_table() -> str:
    """The rows as the metrics themselves say them."""
    rows = []
    registry = Metrics().registry
    DeliveryMetrics(registry)
    WindowMetrics(registry)
    OverdueMetrics(registry)
    ProgramMetrics(registry)
    for each in registry.collect():
        if each.name.startswith("pointclear_"):
            name = f"{each.name}_total" if each.type == "counter" else each.name
            rows.append((name, each.documentation))
    return "\n".join(
        f"| `{name}` | {LABELS.get(name, '')} | {documentation} |" for name, documentation in rows
    )


LABELS = {
    "pointclear_calls_total": "method, code, reason",
    "pointclear_call_duration_seconds": "method",
    "pointclear_batch_orders_refused_total": "reason",
    "pointclear_step_duration_seconds": "step",
    "pointclear_transfers_total": "source_program, target_program",
    "pointclear_reversals_total": "source_program, target_program",
    "pointclear_refusals_recorded_total": "reason",
    "pointclear_cap_alerts_total": "level",
    "pointclear_window_age_seconds": "currency",
    "pointclear_windows_closed_by_schedule_total": "currency",
    "pointclear_window_overdue_seconds": "currency",
    "pointclear_overdue_payments": "currency",
    "pointclear_overdue_steps": "currency, step",
    "pointclear_delivery_answers_total": "program, kind, outcome",
    "pointclear_delivery_handed_out_total": "program",
    "pointclear_delivery_contradictions_total": "program",
    "pointclear_delivery_backlog": "program, state",
    "pointclear_delivery_oldest_seconds": "program, state",
    "pointclear_transfers_in_doubt": "program",
    "pointclear_program_calls_total": "program, method, outcome",
    "pointclear_program_call_duration_seconds": "program",
    "pointclear_program_calls_in_flight": "program",
    "pointclear_program_circuit": "program",
    "pointclear_program_in_maintenance": "program",
    "pointclear_program_visit_events_total": "program, event",
}


def test_every_setting_is_on_the_page_with_its_default() -> None:
    assert settings_table() in section("Settings")


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    assert metrics_table() in section("Metrics")


def test_the_page_names_no_metric_that_is_not_measured() -> None:
    measured = {row.split("`")[1] for row in metrics_table().splitlines()}
    assert (
        set(re.findall(r"pointclear_[a-z_]+", PAGE))
        - {
            "pointclear_owner",
            "pointclear_service",
        }
        == measured
    )


def test_the_page_says_of_every_call_that_takes_an_action_whose_signatures_it_needs() -> None:
    rows = "\n".join(
        f"| {method.rpartition('/')[2]} | {rule.maker} | {rule.checker or '–'} |"
        for method, rule in RULES.items()
        if not rule.own_statement
    )
    assert rows in section("Operators and roles")
