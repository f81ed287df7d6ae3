"""A live system under test: its world, its feed, its decisions read by a stranger, its checker."""
