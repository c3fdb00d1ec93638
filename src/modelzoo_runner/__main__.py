"""`python -m modelzoo_runner`."""

import sys

from modelzoo_runner.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
