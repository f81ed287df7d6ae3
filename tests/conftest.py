"""Hypothesis profiles: the same examples every time by default, many and new ones with `deep`.

`pytest --hypothesis-profile=deep` looks for what nobody has seen yet; a failure it finds prints the
example, which then belongs into the default set.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Here and not in tests/integration: hooks of a run's main process must be known before collection.
pytest_plugins = ("tests.support.real_servers",)

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "stable", derandomize=True, deadline=None, database=None, suppress_health_check=SLOW
)
settings.register_profile(
    "deep", max_examples=2_000, deadline=None, suppress_health_check=SLOW, print_blob=True
)
settings.load_profile("stable")
