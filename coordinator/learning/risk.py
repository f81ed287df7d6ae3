"""Risk: the model that the settings name, of those that there are.

Place in the flow: implements `core.ports.RiskModel`; the engine calls it with the returns known at
a moment. It must never see a return that was not known then, nor depend on earlier calls.
"""

from __future__ import annotations

from types import MappingProxyType

from coordinator.core.ports import Floats, RiskEstimate, RiskModel, RiskSettings
from coordinator.learning.blended import PriorBlendedCovariance
from coordinator.learning.ewma import FadingCovariance
from coordinator.learning.factor import FactorCovariance

__all__ = ["ChosenRisk"]


class ChosenRisk:
    """RiskModel that does as the model does that the settings name."""

    def __init__(self) -> None:
        self._models: MappingProxyType[str, RiskModel] = MappingProxyType(
            {
                "blended": PriorBlendedCovariance(),
                "ewma": FadingCovariance(),
                "factor": FactorCovariance(),
            }
        )

    def covariance(self, returns: Floats, settings: RiskSettings) -> Floats:
        """Positive definite covariance of one session, (n, n). returns: (t, n), NaN: unknown.

        Raises ValueError for another shape, an infinite return, or settings that are no prior.
        """
        return self._models[settings.model].covariance(returns, settings)

    def estimate(self, returns: Floats, settings: RiskSettings) -> RiskEstimate:
        """The same as rows and a diagonal, with how it came about."""
        return self._models[settings.model].estimate(returns, settings)
