"""The live shell: routers, engine workers and windowed views on Kafka.

Place in the flow: around the same core as every other shell. It delivers, waits, sends and says
what it sees; it must never hold a rule of the engine.
"""
