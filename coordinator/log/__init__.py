"""The event log: one port (`core.ports.Log`), and the adapters that keep records behind it.

memory and sqlite append and read; segments reads what `export` sealed. `integrity` binds each
record to the one before it; `errors` is everything that can go wrong.
"""
