"""The pure core: a deterministic state machine from journal records to decisions.

The way of an event: route -> (journal) -> engine: intake -> evolve -> rounds -> views -> match ->
allocate -> decide -> chain. No clock, random number, environment, file or network here.
"""
