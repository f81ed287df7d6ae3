"""Importers: a stranger's files and frames become input events, by the same router as live.

inputs lists the tables; read and tables bring rows; sieve, times, decimals, sessions and bars say
what they mean; signals, prices, instruments, portfolios, fills, positions, cash, actions and rates
make messages; parts puts them in order of time, journal writes them; notes tells what was assumed;
importing does it all.
"""
