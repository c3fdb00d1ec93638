"""`python -m modelzoo_runner`."""

import sys

from modelzoo_runner.cli.main import main

sys.exit(main())
