"""How a run is trained: the trainer, what watches and guards it, and what lets it go on after an interruption."""
