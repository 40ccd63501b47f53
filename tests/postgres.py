"""A throw-away PostgreSQL for the tests: its own folder, a socket and a free port, gone afterwards.

`python -m tests.postgres --found` exits 0 where the programs exist;
`python -m tests.postgres --run COMMAND …` runs the command with DATABASE_URL pointing at it.
PostgreSQL refuses to run as root, so root starts it as the user `postgres` or `nobody`.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


def programs() -> Path | None:
    """The folder with initdb and postgres, or None."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        places.append(Path(told.stdout.strip() or "/nowhere"))
    if found := shutil.which("initdb"):
        places.append(Path(found).resolve().parent)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL."""

    bin: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgres://tests@127.0.0.1:{self.port}/postgres"

    def control(self, *words: str) -> None:
        run_unprivileged([str(self.bin / "pg_ctl"), "-D", str(self.data), "-w", "-t", "60", *words])

    def start(self) -> None:
        self.control("-l", str(self.data / "log"), "-o", self._options(), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.control("-m", mode, "stop")

    def _options(self) -> str:
        return (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.data} "
            "-c max_connections=200 -c shared_buffers=256MB"
        )


def unprivileged() -> str | None:
    """Whom to become when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise SystemExit("PostgreSQL will not run as root and there is no user to become.")


def run_unprivileged(command: list[str]) -> None:
    done = subprocess.run(
        command, user=unprivileged(), cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr}")


@contextlib.contextmanager
def cluster(*, durable: bool = True) -> Iterator[Cluster]:
    """Start a fresh PostgreSQL and remove it afterwards."""
    folder = programs()
    if folder is None:
        raise SystemExit("PostgreSQL's programs were not found.")
    home = Path(tempfile.mkdtemp(prefix="lifecycle-pg-"))
    if user := unprivileged():
        shutil.chown(home, user)
    data = home / "data"
    try:
        run_unprivileged(
            [
                str(folder / "initdb"),
                "-D",
                str(data),
                "-U",
                "tests",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ]
        )
        here = Cluster(folder, data, free_port())
        if not durable:
            with (data / "postgresql.conf").open("a") as conf:
                conf.write("fsync=off\nsynchronous_commit=off\nfull_page_writes=off\n")
        here.start()
        try:
            yield here
        finally:
            with contextlib.suppress(SystemExit):
                here.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--found"]:
        return 0 if programs() else 1
    if arguments[:1] == ["--run"] and arguments[1:]:
        with cluster(durable=False) as here:
            environment = {**os.environ, "DATABASE_URL": here.url}
            return subprocess.run(arguments[1:], env=environment, check=False).returncode
    sys.stderr.write(__doc__ or "")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
