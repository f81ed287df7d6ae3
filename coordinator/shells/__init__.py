"""Shells: what runs engines on a log. Thin: no rule of the engine lives here."""
