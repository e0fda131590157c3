"""`python -m odvae_core` is the `odvae` command."""

import sys

from .cli import main

sys.exit(main())
