"""The server that disposable processes are forked from: clean, single-threaded, and replaced when it is gone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from inference import disposable, fork_server
from inference.fork_server import Ended, NoServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
ROOT = Path(fork_server.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    fork_server.stop()
    yield tmp_path_factory.mktemp("modules")
    fork_server.stop()


@pytest.fixture
def run(modules: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Runs the body of a function in a child, of one server for all tests here."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(modules), str(ROOT)])}
    environment["OPENBLAS_NUM_THREADS"] = "1"

    def run(body: str, request: object = None, wall_s: float = 20.0) -> Ended:
        name = f"child{len(list(modules.iterdir()))}"
        (modules / f"{name}.py").write_text(f"import json, os, sys\n\n\ndef main():\n    {body}\n")
        return fork_server.run(name, json.dumps(request).encode(), tmp_path, environment, wall_s)

    return run


def server_of_this_process() -> psutil.Process:
    (found,) = [one for one in psutil.Process().children() if "inference.fork_server" in one.cmdline()]
    return found


def test_a_child_gets_its_request_its_folder_and_a_session_of_its_own(run, tmp_path):
    says = "print(json.dumps([json.load(sys.stdin), os.getcwd(), os.getsid(0) == os.getpid()]))"
    ended = run(f"{says}; sys.stdout.flush(); os._exit(0)", {"of": "mine"})
    assert (json.loads(ended.said), ended.code) == ([{"of": "mine"}, str(tmp_path), True], 0)


def test_a_request_of_megabytes_arrives_and_so_does_its_answer(run):
    ended = run("sys.stdout.write(sys.stdin.read()); sys.stdout.flush(); os._exit(0)", "x" * 3_000_000)
    assert len(ended.said) == 3_000_002


@pytest.mark.parametrize(
    ("body", "code"),
    [("os.abort()", -signal.SIGABRT), ("os.kill(os.getpid(), 9)", -signal.SIGKILL), ("sys.exit(0)", 1), ("1 / 0", 1)],
)
def test_every_end_is_told_and_the_next_child_works(run, body, code):
    assert run(body).code == code
    assert run("os._exit(0)").code == 0


def test_what_a_child_complained_of_is_kept(run):
    assert b"ZeroDivisionError" in run("1 / 0").complaint


def test_a_child_that_hangs_is_killed_with_what_it_started(run, tmp_path):
    body = "child = os.fork(); child and open('pid', 'w').write(str(child)); import time; time.sleep(60)"
    assert run(body, wall_s=1.0).code is None
    grandchild = int((tmp_path / "pid").read_text())
    with suppress(psutil.NoSuchProcess):
        psutil.Process(grandchild).wait(timeout=10)


def test_children_inherit_no_file_and_none_stays_open(run):
    listed = "print(sorted(os.listdir('/proc/self/fd'))[:9]); sys.stdout.flush(); os._exit(0)"
    for _ in range(3):
        assert run(listed).said.decode().strip() == "['0', '1', '2', '3']", "the fourth is the listing's own"
    server, end = server_of_this_process(), time.monotonic() + 20
    while server.num_fds() > 6:  # its streams, the line to us, and the two ends of the pipe that wakes it
        assert time.monotonic() < end


def test_the_server_has_one_thread_and_nothing_of_our_environment(run, monkeypatch):
    monkeypatch.setenv("LIGHTBOX_SECRET_KEY", "canary")
    assert run("os._exit('LIGHTBOX_SECRET_KEY' in os.environ)").code == 0
    server = server_of_this_process()
    assert server.num_threads() == 1
    assert "canary" not in " ".join(server.environ().values())


def test_a_server_that_was_killed_is_replaced(run):
    run("os._exit(0)")
    first = server_of_this_process()
    first.kill()
    assert run("os._exit(0)").code == 0
    assert server_of_this_process().pid != first.pid


def test_a_server_that_dies_beside_its_child_is_no_server(run):
    run("os._exit(0)")
    with pytest.raises(NoServer):
        run(f"os.kill({server_of_this_process().pid}, 9); import time; time.sleep(60)")


def test_a_server_that_cannot_load_is_no_server(tmp_path):
    with pytest.raises(NoServer):
        fork_server.run("child", b"", tmp_path, {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere"}, 5.0)


def test_without_a_server_the_work_is_done_all_the_same(tmp_path, monkeypatch):
    def none(*_: object) -> Ended:
        raise NoServer

    monkeypatch.setattr(fork_server, "run", none)
    (tmp_path / "empty").touch()
    request = {"sources": [str(tmp_path / "empty")], "folder": str(tmp_path), "cleaning": None}
    with pytest.raises(disposable.BadInput, match="empty"):
        disposable.ask("inference.decoder", request, tmp_path, disposable.Limits())


def test_a_fork_of_this_process_has_a_server_of_its_own_and_ours_ends_with_us(tmp_path):
    program = (
        "import os, sys, pathlib\nfrom inference import fork_server\n"
        "def ask():\n"
        "    fork_server.run('none', b'', pathlib.Path.cwd(), dict(os.environ), 20.0)\n"
        "    return list(fork_server._servers.values())[0]._process.pid\n"
        "ours = ask()\n"
        "child = os.fork()\n"
        "if not child: os._exit(ask() == ours)\n"
        "print(ours, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    server, same = map(int, done.stdout.split())
    assert same == 0
    psutil.wait_procs([psutil.Process(server)] if psutil.pid_exists(server) else [], timeout=10)
    assert not psutil.pid_exists(server)
