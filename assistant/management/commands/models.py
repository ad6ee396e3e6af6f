"""manage.py models: what the catalogue holds, what of it can be used here and why not, and getting, serving, trying it.

What it does is inference.pull, inference.serving and inference.trial; here is only what a terminal needs.
"""

import json
import os
import shlex
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from assistant import checkpoints_in_use
from assistant.tools.base import Declined
from inference import environments, pull, serving
from inference.checkpoints import MAIN, Checkpoint, has_backend
from inference.errors import InferenceError
from inference.perform import revision_of

READY = "ready"
NAMED = "Lightbox asks it once its settings name it: LIGHTBOX_SERVERS={setting}"


class Command(BaseCommand):
    help = "The models of the catalogue: list, check, pull, serve, test, environment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        what.add_parser("list", help="every checkpoint, with its state").add_argument("--role", default="")
        what.add_parser("check", help="what can be used now, and why not").add_argument("key", nargs="?", default="")
        one = what.add_parser("pull", help="get the weights of one, or verify them")
        one.add_argument("key")
        one.add_argument("--from", dest="origin", type=Path, metavar="FOLDER", help="from a folder of this machine")
        one = what.add_parser("serve", help="print the line that serves one with vLLM")
        one.add_argument("key")
        one.add_argument("--port", type=int, default=serving.PORT)
        one.add_argument("--run", action="store_true", help="and become that process")
        one = what.add_parser("test", help="run one on a sample image: its result, time and memory")
        one.add_argument("key")
        one.add_argument("image", nargs="?", type=Path, help="a file, instead of the bundled radiograph")
        one.add_argument("--task", default="", help="instead of that of its first role")
        one.add_argument("--options", type=json.loads, default=None, metavar="JSON")
        what.add_parser("environment", help="build the environment of some models").add_argument("name")

    def handle(self, *_args: Any, what: str, **options: Any) -> None:
        with said_in_one_line():
            getattr(self, f"do_{what}")(**options)

    def do_list(self, role: str, **_: Any) -> None:
        rows = [("KEY", "ROLES", "LICENCE", "MB", "STATE")]
        for found in checkpoints_in_use.catalogue().values():
            if not role or role in found.roles:
                size = f"{found.size_mb:g}" if found.size_mb else ""
                rows.append((found.key, ", ".join(found.roles), found.licence_words, size, self.state(found)))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        for row in rows:
            cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
            self.stdout.write("  ".join([*cells, row[4]]).rstrip())

    def do_check(self, key: str, **_: Any) -> None:
        for found in [self.named(key)] if key else checkpoints_in_use.catalogue().values():
            self.stdout.write(f"{found.key}: {self.state(found)}")
        if key and checkpoints_in_use.why_not(found):
            sys.exit(1)

    def do_pull(self, key: str, origin: Path | None, **_: Any) -> None:
        found = self.named(key)
        made = pull.pull(found, found.folder(settings.MODELS_DIR), self.stdout.write, origin)
        done = "pulled" if made.changed else "nothing changed"
        self.stdout.write(f"{found.key}: {len(made.files)} files, {made.megabytes:.1f} MB, verified, {done}.")
        self.stdout.write(f"Revision {made.revision}. Licence: {found.licence_words}.")
        if not found.served and not has_backend(found.backend):
            self.stdout.write(self.state(found))

    def do_serve(self, key: str, port: int, run: bool, **_: Any) -> None:
        found = self.named(key)
        line = serving.command(found, settings.MODELS_DIR, settings.ENVIRONMENTS_DIR, port)
        if not run:
            self.stdout.write(shlex.join(line))
            self.stderr.write(NAMED.format(setting=serving.setting(found, port)))
            return
        if not Path(line[0]).exists():
            raise CommandError(
                f"The environment {found.environment} is not configured: manage.py models environment "
                f"{found.environment}. Or run the line yourself where vLLM is: {shlex.join(line)}"
            )
        os.execve(line[0], line, {**os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"})  # noqa: S606

    def do_test(self, key: str, image: Path | None, task: str, options: dict[str, Any] | None, **_: Any) -> None:
        from assistant import model_trial

        found = self.named(key)
        if line := checkpoints_in_use.why_not(found):
            raise CommandError(line)
        begun = time.monotonic()
        for line in model_trial.lines(found, image, task, options):
            self.stdout.write(line)
        self.stdout.write(f"{time.monotonic() - begun:.1f} s in all. Research use only, not for diagnosis.")

    def do_environment(self, name: str, **_: Any) -> None:
        if name == MAIN:
            raise CommandError("The main environment is the one that this command runs in.")
        made = environments.build(name, settings.ENVIRONMENTS_DIR)
        self.stdout.write(f"{name}: {'built' if made else 'it was there already'}. Start Lightbox again to use it.")

    def named(self, key: str) -> Checkpoint:
        found = checkpoints_in_use.catalogue().get(key)
        if found is None:
            raise CommandError(f"There is no checkpoint {key!r} in the catalogue (manage.py models list).")
        return found

    def state(self, found: Checkpoint) -> str:
        if line := checkpoints_in_use.why_not(found):
            return line
        revision = revision_of(found, found.folder(settings.MODELS_DIR))
        return f"{READY} (revision {revision[:12]})" if revision else READY


@contextmanager
def said_in_one_line() -> Iterator[None]:
    """What went wrong as the one line of a command that failed."""
    try:
        yield
    except (InferenceError, ImproperlyConfigured, Declined) as error:
        raise CommandError(str(error)) from error
    except KeyboardInterrupt as error:
        raise CommandError("Stopped. What was got so far is kept.") from error
