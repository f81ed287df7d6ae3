"""What is learned from the log, behind ports of the core: risk models first."""

from coordinator.learning.risk import PriorBlendedCovariance

__all__ = ["PriorBlendedCovariance"]
