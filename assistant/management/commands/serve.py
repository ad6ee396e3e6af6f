"""`manage.py serve`: everything that Lightbox needs, under one command (assistant/supervisor.py keeps it alive)."""

import contextlib
import http.client
import ipaddress
import os
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from assistant import model_servers
from assistant.chat_setting import ChatSetting
from assistant.embedded_valkey import answers, private_folder, valkey_program
from assistant.model_workers import MODELS, model_env, model_workers, worker_name
from assistant.supervisor import (
    AlreadyRunning,
    Log,
    Program,
    Supervisor,
    lock_data_folder,
    start_lines,
)
from inference import environments

FIRST_PORT = 8000
WORKERS = ("corpus", "agent", "vision", "expert", "library", "beat")


class Command(BaseCommand):
    help = (
        "Runs Lightbox: the web process, the workers and an embedded Valkey, until Ctrl-C. With a name, runs that one "
        "process in the foreground; `prepare` migrates, loads the literature and collects the static files."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        models = [worker_name(name) for name in ("main", *environments.known())]
        parser.add_argument("process", nargs="?", choices=["web", *WORKERS, *models, "prepare"])

    def handle(self, *_args: Any, process: str | None = None, **_options: Any) -> None:
        self.begun = time.monotonic()
        bind = bind_address()
        chat_setting()
        if process == "prepare":
            self.prepare()
        elif process and process.startswith(MODELS):
            self.become(model_workers()[process], model_env(dict(os.environ)))
        elif process:
            line = start_lines(bind, port_from_environment() or FIRST_PORT, settings.DATA_DIR)[process]
            self.become(line, dict(os.environ))
        else:
            self.serve(bind)

    def become(self, line: list[str], env: dict[str, str]) -> None:
        os.chdir(settings.BASE_DIR)
        os.execve(line[0], line, env)  # noqa: S606 the point: this process becomes that one

    def prepare(self) -> None:
        with self.stage("database"):
            migrate()
        with self.stage("static files"):
            collect_static()
        with self.stage("literature"):
            call_command("load_corpus")

    def serve(self, bind: str) -> None:
        try:
            lock = lock_data_folder(settings.DATA_DIR)
        except AlreadyRunning as error:
            raise CommandError(str(error)) from None
        with lock, private_folder() as folder:
            port = choose_port(bind)
            address = f"http://{page_host(bind)}:{port}"
            print(os.getpid(), address, file=lock, flush=True)
            log = Log(settings.DATA_DIR / "logs" / "lightbox.log")
            supervisor = Supervisor(log, keep=[lock.fileno()], adopt=True)
            supervisor.catch_signals()
            try:
                env = {**os.environ, "LIGHTBOX_DATA": str(settings.DATA_DIR), "PYTHONUNBUFFERED": "1"}
                env["REDIS_URL"] = self.queue(supervisor, folder, env)
                self.start(supervisor, env, bind, port, address)
                supervisor.run()
            finally:
                self.stop(supervisor)

    def queue(self, supervisor: Supervisor, folder: Any, env: dict[str, str]) -> str:
        """The URL of the Redis or Valkey to use: the one given, or one of our own."""
        if given := os.environ.get("REDIS_URL"):
            check_redis(given)
            return given
        program, url = valkey_program(folder, settings.DATA_DIR / "valkey", env)
        with self.stage("valkey"):
            supervisor.add(program)
            if not supervisor.wait_until(lambda: answers(url), 15) and not supervisor.stopping:
                raise CommandError(f"Valkey does not start: see {settings.DATA_DIR / 'logs' / 'lightbox.log'}.")
        return url

    def start(self, supervisor: Supervisor, env: dict[str, str], bind: str, port: int, address: str) -> None:
        """Prepare what the page needs, show it, then bring up the workers behind it."""
        with self.stage("database"):
            migrate()
        lines = start_lines(bind, port, settings.DATA_DIR)
        loader = self.load_corpus(supervisor, env)
        with self.stage("static files"):
            collect_static()
        supervisor.add(Program("web", lines["web"], env, settings.BASE_DIR))
        self.wait_for_corpus(supervisor, loader)
        with self.stage("page"):
            ready = supervisor.wait_until(lambda: page_answers(page_host(bind), port), 60)
        if supervisor.stopping:
            return
        for name in WORKERS:
            supervisor.add(Program(name, lines[name], env, settings.BASE_DIR))
        for name, line in model_workers().items():
            supervisor.add(Program(name, line, model_env(env), settings.BASE_DIR))
        self.greet(address, ready)

    def load_corpus(self, supervisor: Supervisor, env: dict[str, str]) -> subprocess.Popen[bytes]:
        """In a process of its own, beside the rest: building the index needs torch, and this process stays small."""
        line = [sys.executable, str(settings.BASE_DIR / "manage.py"), "load_corpus"]
        loader = subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
        supervisor.guard.watch(loader.pid)
        supervisor.others.append(loader.pid)
        return loader

    def wait_for_corpus(self, supervisor: Supervisor, loader: subprocess.Popen[bytes]) -> None:
        with self.stage("literature"):
            supervisor.wait_until(lambda: loader.poll() is not None, float("inf"))
        if supervisor.stopping:
            loader.kill()
            loader.wait()
        elif loader.returncode:
            self.say("The literature could not be loaded (the lines above say why); the chat works without it.")

    def greet(self, address: str, ready: bool) -> None:
        self.say("")
        if not ready:
            self.say("The page does not answer yet; the lines of `web` above say why. Still trying.")
        if settings.MULTI_USER:
            self.say(f"  Lightbox:    {address}")
            if not has_accounts():
                self.say("  First account: manage.py adduser NAME")
        else:
            from assistant.access import sign_in_link

            self.say(f"  Sign in:     {sign_in_link(address)}")
        connections.close_all()
        chat = chat_setting()
        self.say(f"  Chat model:  {chat.label}, {chat.where}")
        self.say(f"  Data folder: {settings.DATA_DIR}")
        self.say(
            f"  Ready in {time.monotonic() - self.begun:.1f} s. Ctrl-C stops it. Research use only, not for diagnosis."
        )
        self.say("")

    def stop(self, supervisor: Supervisor) -> None:
        begun = time.monotonic()
        why = f" ({supervisor.signal})" if supervisor.signal else ""
        self.say(f"Stopping{why}.")
        supervisor.log.write("lightbox", f"stopping{why}", hide=True)
        supervisor.stop()
        self.say(f"Stopped in {time.monotonic() - begun:.1f} s.")

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.say(f"{name:<12} {time.monotonic() - begun:5.1f} s")

    def say(self, line: str) -> None:
        # The terminal may be gone (a closed window, a broken pipe): the site goes on, or stops in order.
        with contextlib.suppress(OSError):
            self.stdout.write(line)
            self.stdout.flush()


def migrate() -> None:
    """Bring the database to the present; asks first, because a full `migrate` with nothing to do is slow."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> None:
    """Collect the static files when one of them is newer than the last collection; hashing them all takes seconds."""
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    done = manifest.stat().st_mtime if manifest.exists() else 0.0
    files = (Path(store.path(name)) for finder in get_finders() for name, store in finder.list([]))
    if any(max(file.stat().st_mtime, file.stat().st_ctime) > done for file in files):
        call_command("collectstatic", interactive=False, verbosity=0)


def has_accounts() -> bool:
    from django.contrib.auth import get_user_model

    return bool(get_user_model().objects.exists())


def bind_address() -> str:
    """LIGHTBOX_BIND; anything but the loopback needs accounts."""
    bind = os.environ.get("LIGHTBOX_BIND", "127.0.0.1")
    try:
        loopback = bind == "localhost" or ipaddress.ip_address(bind).is_loopback
    except ValueError:
        raise CommandError(f"LIGHTBOX_BIND={bind} is not an address: give an IP address such as 127.0.0.1.") from None
    if not loopback and not settings.MULTI_USER:
        raise CommandError(
            f"LIGHTBOX_BIND={bind} would show this site to the network without accounts: set LIGHTBOX_MULTI_USER=1 too."
        )
    return bind


def page_host(bind: str) -> str:
    """The host to write in a link to a server bound there."""
    if bind in {"0.0.0.0", "localhost"}:  # noqa: S104 compared with, not bound to
        return "127.0.0.1"
    return f"[{'::1' if bind == '::' else bind}]" if ":" in bind else bind


def port_from_environment() -> int | None:
    text = os.environ.get("PORT", "")
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise CommandError(f"PORT={text} is not a port: give a number from 1 to 65535.")
    return int(text)


def port_is_free(bind: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError:
            return False
    return True


def choose_port(bind: str) -> int:
    """PORT when it is set; else 8000 or the next free one."""
    if asked := port_from_environment():
        if not port_is_free(bind, asked):
            raise CommandError(f"Port {asked} is taken: stop what uses it, or set PORT to another.")
        return asked
    for port in range(FIRST_PORT, FIRST_PORT + 100):
        if port_is_free(bind, port):
            if port != FIRST_PORT:
                print(f"Port {FIRST_PORT} is taken; using {port}. PORT chooses another.", flush=True)
            return port
    raise CommandError(f"Ports {FIRST_PORT} to {FIRST_PORT + 99} are all taken: set PORT to a free one.")


def page_answers(host: str, port: int) -> bool:
    page = http.client.HTTPConnection(host.strip("[]"), port, timeout=2)
    try:
        page.request("GET", "/healthz", headers={"Host": f"localhost:{port}"})
        return page.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        page.close()


def check_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=3) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        place = urlsplit(url)
        raise CommandError(
            f"REDIS_URL ({place.hostname or place.path}) does not answer ({error}): start it, or unset REDIS_URL "
            "to use the embedded Valkey."
        ) from None


def chat_setting() -> ChatSetting:
    try:
        model_servers.all_servers()  # the other settings that name servers
        return ChatSetting.parse(settings.CHAT_MODEL)
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None
