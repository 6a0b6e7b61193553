"""Lets `python -m savor` do what `savor` does."""

import sys

from savor.cli import main

if __name__ == "__main__":
    sys.exit(main())
