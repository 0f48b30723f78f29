"""Data: datasets → manifest → views → decoded batches."""
