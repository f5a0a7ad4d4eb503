"""One command a module: its settings, its progress, and how the outcome is shown. `run` returns the exit status."""
