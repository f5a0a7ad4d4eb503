"""`python -m airback` is `airback`."""

from airback.cli.main import main

if __name__ == "__main__":
    main()
