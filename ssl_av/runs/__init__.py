"""One run: what it would cost, running it, its record, and running a record again."""
