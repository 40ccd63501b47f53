"""Start web, worker and mail catcher, tell the stories, and say where to look, or whether all is right."""

import argparse
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
STARTS_WITHIN_SECONDS = 60


def port_for(wanted: int) -> int:
    """The wanted port, or any free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise SystemExit("There is no free port on this machine.")


def only_one(home: Path) -> IO[str]:
    """The demo's folder, locked while the file stays open. Raises SystemExit when another demo has it."""
    lock = (home / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit("A demo is running already; stop it with Ctrl-C first.") from None
    return lock


def prepare(home: Path) -> dict[str, int]:
    """Put the demo's world into the environment, before the settings are read; returns the ports."""
    secret = home / "secret"
    if not secret.exists():
        secret.write_text(secrets.token_urlsafe(50))
    ports = {"web": port_for(8000), "smtp": port_for(1025)}
    os.environ.update(
        DJANGO_SETTINGS_MODULE="lifecycle.settings",
        LIFECYCLE_ENV="development",
        SECRET_KEY=secret.read_text(),
        SITE_URL=f"http://127.0.0.1:{ports['web']}",
        EMAIL_PROVIDER="smtp",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(ports["smtp"]),
        EMAIL_USE_TLS="0",
        MAILBOX_DIR=str(home / "mailbox"),
        PRODUCT_NAME="Flowbase",
        LOG_LEVEL="WARNING",
    )
    os.environ.setdefault("DATABASE_URL", f"sqlite:///{home / 'lifecycle.sqlite3'}")
    return ports


@contextlib.contextmanager
def processes(home: Path, ports: dict[str, int]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Web and worker, stopped together at the end; their words go to files in the demo's folder."""
    web = [
        sys.executable, "-m", "gunicorn", "lifecycle.wsgi", "--bind", f"127.0.0.1:{ports['web']}",
        "--workers", "1", "--threads", "8", "--no-control-socket",
    ]  # fmt: skip
    work = [sys.executable, "manage.py", "work"]
    started = []
    try:
        for name, command in (("web", web), ("work", work)):
            with (home / f"{name}.log").open("ab") as log:
                # Their own session: Ctrl-C comes to us alone, and we stop them in order.
                started.append(
                    subprocess.Popen(
                        command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
                    )
                )
        yield started
    finally:
        for process in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for_web(port: int, running: list[subprocess.Popen[bytes]], home: Path) -> None:
    """Until the web server answers. Raises SystemExit with its last words when it does not."""
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        for process in running:
            if process.poll() is not None:
                break
        else:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.1)
            continue
        break
    words = "\n".join((home / f"{name}.log").read_text()[-1500:] for name in ("web", "work"))
    raise SystemExit(f"The demo did not start:\n{words}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="compare, then stop; exit 1 if anything differs"
    )
    arguments = parser.parse_args()
    os.chdir(ROOT)
    home = (
        Path(tempfile.mkdtemp(prefix="demo-check-")) if arguments.check else ROOT / "var" / "demo"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    home.mkdir(parents=True, exist_ok=True)
    lock = only_one(home)
    ports = prepare(home)
    try:
        return _run(home, ports, check=arguments.check)
    except KeyboardInterrupt:
        print("\nStopped. `make demo` goes on with the same data.")  # noqa: T201
        return 0
    finally:
        lock.close()
        if arguments.check:
            shutil.rmtree(home, ignore_errors=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(home: Path, ports: dict[str, int], *, check: bool) -> int:
    import django

    django.setup()
    from lifecycle.demo import catcher, play

    play.set_up()
    mail = catcher.start(home / "mailbox", ports["smtp"])
    try:
        with processes(home, ports) as running:
            wait_for_web(ports["web"], running, home)
            return play.perform(
                url=f"http://127.0.0.1:{ports['web']}", mailbox=home / "mailbox", check=check
            )
    finally:
        mail.stop()


if __name__ == "__main__":
    sys.exit(main())
