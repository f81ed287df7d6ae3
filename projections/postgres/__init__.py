"""The projection in PostgreSQL: its writer, its migrations, its rebuild.

Place in the flow: with `projections.redis` the only importers of their drivers. Import from the
modules inside, so that commands without a database do not load its driver.
"""
