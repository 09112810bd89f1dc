"""Settings that all tests share: the hypothesis profiles.

`HYPOTHESIS_PROFILE` names one; without it CI (`CI=true`) uses `ci`, everyone else `dev`.
Neither has a deadline: no test asserts a time.
"""

import os

from hypothesis import settings

# The same examples on every run: a red build is about the change and not about luck.
settings.register_profile(
    "ci", max_examples=200, deadline=None, derandomize=True, database=None, print_blob=True
)
settings.register_profile("dev", max_examples=50, deadline=None)

settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev")
)
