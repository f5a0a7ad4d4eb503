"""`airback bench`: what the platform does a second, as a ratio to what this machine can do in the same run."""
