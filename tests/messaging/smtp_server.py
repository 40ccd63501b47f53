"""A real SMTP server that counts what it got and misbehaves as its recipients' names ask it to."""

import asyncio
import os
import sys
from collections import Counter
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

SLOW_SECONDS = 3


class MisbehavingSMTP(SMTP):
    """`421-x@…` is refused with 421 at RCPT, `data451-x@…` after DATA, and so on."""

    last_recipient = ""

    async def smtp_RCPT(self, arg: str | None) -> None:
        self.last_recipient = (arg or "").partition("<")[2].partition(">")[0]
        name = self.last_recipient.partition("-")[0]
        if name == "droprcpt":
            self.transport.abort()
        elif name == "slowrcpt":
            await asyncio.sleep(SLOW_SECONDS)
        elif name in ("550", "421", "451"):
            words = {
                "550": "5.1.1 no such user",
                "421": "4.3.2 going down",
                "451": "4.7.1 greylisted",
            }
            await self.push(f"{name} {words[name]}")
        else:
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str | None) -> None:
        name = self.last_recipient.partition("-")[0]
        if name == "dropdata":
            self.transport.abort()
        elif name == "dropmid":
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
        else:
            await super().smtp_DATA(arg)


class Handler:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        (recipient,) = envelope.rcpt_tos
        name = recipient.partition("-")[0]
        if name == "data451":
            return "451 4.3.0 try later"
        if name == "data554":
            return "554 5.6.0 we do not like it"
        if name == "garbage":
            return "whatever"
        self.got.append((recipient, envelope.content))
        if name == "slowdata":
            await asyncio.sleep(SLOW_SECONDS)
        if name == "dropafter":
            server.transport.abort()
        return "250 OK"


class Server(Controller):
    """Listens on a free port of loopback."""

    def __init__(self) -> None:
        super().__init__(Handler(), hostname="127.0.0.1", port=0)

    def factory(self) -> SMTP:
        return MisbehavingSMTP(self.handler, hostname="sink.example", **self.SMTP_kwargs)

    def _trigger_server(self) -> None:
        # The base class connects to its configured port, which here only the started server knows.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()

    @property
    def got(self) -> list[tuple[str, bytes]]:
        return self.handler.got

    def counts(self) -> Counter[str]:
        return Counter(recipient for recipient, _ in self.got)


if __name__ == "__main__":
    # A counting server for tests that kill its clients: prints its port, then one line per mail.
    sink = Server()
    keep = sink.handler.handle_DATA

    async def count(server: Any, session: Any, envelope: Any) -> str:
        os.write(1, f"{envelope.rcpt_tos[0]}\n".encode())
        return await keep(server, session, envelope)

    sink.handler.handle_DATA = count  # type: ignore[method-assign]
    sink.start()
    os.write(1, f"{sink.port}\n".encode())
    sys.stdin.read()
    sink.stop()
