"""One folder per port, one file per far side."""
