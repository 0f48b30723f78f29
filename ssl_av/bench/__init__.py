"""Compares methods under one budget: suites of runs, their records, and the report about them."""
