"""The numbered SQL files that make the Postgres schema; data, read by projections.postgres.migrate.

Place in the flow: a file that was applied anywhere never changes; a change is a new file.
"""
