"""Importers: a stranger's files and frames become input events, by the same router as live.

read and tables bring rows; sieve, times, sessions and bars say what they mean; signals, prices,
instruments and portfolios make messages; parts puts them in order of time, journal writes them;
notes tells what was assumed; importing does it all.
"""
