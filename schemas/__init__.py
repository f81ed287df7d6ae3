"""The language: every event as a frozen model, its canonical bytes and its published schema.

Imports nothing of ours. A name, a field or a unit that matters to a neighbour stands here and
nowhere else.
"""
