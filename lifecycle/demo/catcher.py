"""A local mail catcher: takes every mail over SMTP and keeps it as a file for the mailbox page."""

from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller


class Keeper:
    """Writes each mail to the folder, numbered in the order of arrival."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.count = len(list(folder.glob("*.eml")))

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002 - aiosmtpd's own name
        """Keep the mail before answering, so that what was accepted is there."""
        self.count += 1
        target = self.folder / f"{self.count:05d}.eml"
        partial = target.with_suffix(".part")
        partial.write_bytes(envelope.content)
        partial.rename(target)
        return "250 OK, kept"


def start(folder: Path, port: int) -> Controller:
    """A running catcher on 127.0.0.1; call its `stop()` at the end."""
    controller = Controller(Keeper(folder), hostname="127.0.0.1", port=port)
    controller.start()
    return controller
