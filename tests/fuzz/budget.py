"""How many examples are tried."""

import os

from hypothesis import HealthCheck, Phase, settings

CHOSEN = os.environ.get("POINTCLEAR_FUZZ_EXAMPLES")
EXAMPLES = int(CHOSEN or 30)


def fuzzed(times: int = 1) -> settings:
    """The same few examples at every run, unless more are asked for: then others each time."""
    return settings(
        max_examples=EXAMPLES * times,
        derandomize=CHOSEN is None,
        database=None,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
    )
