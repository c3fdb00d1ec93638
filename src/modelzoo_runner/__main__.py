"""`python -m modelzoo_runner`."""

import sys

from modelzoo_runner.cli import main

sys.exit(main())
