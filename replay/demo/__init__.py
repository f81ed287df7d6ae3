"""The demonstration: a shipped recording of seven agents, played through the engine."""
