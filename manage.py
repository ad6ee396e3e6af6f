#!/usr/bin/env python
"""Django's command line for Lightbox: `manage.py serve` runs everything, `manage.py help` lists the rest."""

import os
import sys
from pathlib import Path


def main() -> None:
    # The site's own folder comes first, so that the commands work from any working directory.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
