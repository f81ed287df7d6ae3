"""The projection in Redis: its writer, its keys and scripts, its rebuild.

Place in the flow: with `projections.postgres` the only importers of their drivers. Import from the
modules inside, so that commands without a database do not load its driver.
"""
