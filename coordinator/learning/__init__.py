"""What is learned from the log, behind ports of the core: risk models first."""

from coordinator.learning.blended import PriorBlendedCovariance
from coordinator.learning.ewma import FadingCovariance
from coordinator.learning.factor import FactorCovariance
from coordinator.learning.risk import ChosenRisk

__all__ = ["ChosenRisk", "FactorCovariance", "FadingCovariance", "PriorBlendedCovariance"]
