"""What a running process says of itself: logs, metrics, health, and the HTTP that serves them.

Place in the flow: beside the engine, fed by the shells and the projections. Must never be waited
for by a decision, nor show a secret.
"""
