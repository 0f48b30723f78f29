"""How the runs of a suite come to be: one after another or at once, here or on a cluster, tuned, watched, resumed."""
