"""The supervisor starts, restarts and stops; whatever happens to it, nothing of it stays behind."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from assistant import supervisor as supervising
from assistant.supervisor import AlreadyRunning, Log, Program, Supervisor, is_alive, lock_data_folder, start_lines

SLEEPER = "import time; print('up', flush=True); time.sleep(100)"


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def program(code: str, tmp_path: Path, name: str = "child", last: bool = False) -> Program:
    return Program(name, [sys.executable, "-S", "-c", textwrap.dedent(code)], dict(os.environ), tmp_path, last)


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def boss(output: io.StringIO) -> Iterator[Supervisor]:
    boss = Supervisor(Log(None, output), adopt=True)
    boss.others = [child.pid for child in psutil.Process().children()]
    yield boss
    boss.stop()


def test_lines_of_children_come_under_their_names(boss: Supervisor, output: io.StringIO, tmp_path: Path) -> None:
    boss.add(program(SLEEPER, tmp_path, "vision"))
    assert wait_for(lambda: "vision   | up" in output.getvalue())


def test_a_child_that_is_killed_is_started_again_and_that_is_said(
    boss: Supervisor, output: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "FAST_DEATH", 0.0)
    boss.add(program(SLEEPER, tmp_path, "vision"))
    process = boss.children[0].process
    assert process is not None
    process.kill()
    process.wait()
    boss.check()
    assert "vision died (signal 9), restarted" in output.getvalue()
    restarted = boss.children[0].process
    assert restarted is not None
    assert restarted.pid != process.pid
    assert restarted.poll() is None


def test_a_child_that_cannot_start_is_tried_more_and_more_slowly(
    boss: Supervisor, output: io.StringIO, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "DELAYS", (0.0, 0.0, 0.0, 0.0, 60.0))
    boss.add(program("raise SystemExit('no such thing')", tmp_path, "beat"))
    assert boss.wait_until(lambda: "in a row" in output.getvalue(), 20)
    assert "beat died (exit 1), starting again in 60 s; it has failed 4 times in a row" in output.getvalue()
    assert "no such thing" in output.getvalue()
    boss.check()
    assert boss.children[0].process is None


def test_a_killed_worker_leaves_no_process_it_had_started(boss: Supervisor, tmp_path: Path) -> None:
    code = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, '-S', '-c', {SLEEPER!r}], start_new_session=True)
        open('pid.part', 'w').write(str(child.pid)); __import__('os').rename('pid.part', 'pid')
        time.sleep(100)
    """
    boss.add(program(code, tmp_path))
    assert wait_for((tmp_path / "pid").exists)
    decoder = int((tmp_path / "pid").read_text())
    process = boss.children[0].process
    assert process is not None
    process.kill()
    process.wait()
    boss.check()
    assert wait_for(lambda: not is_alive(decoder), 3)


def test_a_child_that_ignores_term_is_killed_in_time(boss: Supervisor, output: io.StringIO, tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER
    boss.add(program(deaf, tmp_path))
    assert wait_for(lambda: "up" in output.getvalue())
    pid = boss.children[0].process.pid  # type: ignore[union-attr]
    begun = time.monotonic()
    boss.stop()
    assert time.monotonic() - begun < 10
    assert not is_alive(pid)


def test_what_the_others_need_is_stopped_last(boss: Supervisor, tmp_path: Path) -> None:
    code = """
        import signal, sys, time
        def stop(*_):
            open('stopped', 'a').write(sys.argv[1] + ' ')
            sys.exit()
        signal.signal(signal.SIGTERM, stop)
        open('up-' + sys.argv[1], 'w')
        time.sleep(100)
    """
    for name, last in (("valkey", True), ("web", False)):
        start = program(code, tmp_path, name, last=last)
        boss.add(Program(name, [*start.argv, name], start.env, start.cwd, last))
    assert wait_for(lambda: (tmp_path / "up-web").exists() and (tmp_path / "up-valkey").exists())
    boss.stop()
    assert (tmp_path / "stopped").read_text() == "web valkey "


def test_nothing_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
        import os, sys
        from pathlib import Path
        from assistant.supervisor import Log, Program, Supervisor, is_alive, lock_data_folder
        lock = lock_data_folder(Path('.'))
        print(os.getpid(), file=lock, flush=True)
        boss = Supervisor(Log(None), keep=[lock.fileno()])
        boss.add(Program('child', [sys.executable, '-S', '-c', {SLEEPER!r}], dict(os.environ), Path('.')))
        print(boss.children[0].process.pid, boss.guard.process.pid, flush=True)
        boss.run()
    """
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    line = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(line, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as boss:
        assert boss.stdout is not None
        child, guard = map(int, boss.stdout.readline().split())
        with pytest.raises(AlreadyRunning, match=f"process {boss.pid}"):
            lock_data_folder(tmp_path)
        os.kill(boss.pid, signal.SIGKILL)
    lock_data_folder(tmp_path).close()  # waits for the guard, which holds the lock until the child is gone
    assert not is_alive(child)
    assert wait_for(lambda: not is_alive(guard))


def test_the_guard_does_not_load_the_site(boss: Supervisor) -> None:
    maps = {Path(row.path).name for row in psutil.Process(boss.guard.process.pid).memory_maps()}
    assert not any(name.startswith(("libtorch", "_pydantic")) for name in maps)
    assert psutil.Process(boss.guard.process.pid).memory_info().rss < 40_000_000


def test_every_queue_has_a_worker(tmp_path: Path) -> None:
    lines = start_lines("127.0.0.1", 8000, tmp_path)
    queues = {queue for line in lines.values() if "-Q" in line for queue in line[line.index("-Q") + 1].split(",")}
    assert queues == {"agent", "vision", "decode", "expert", "corpus", "library"}
