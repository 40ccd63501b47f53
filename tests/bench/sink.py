"""An SMTP server in a process of its own that takes mail and notes when: `python -m tests.bench.sink PORT DELAY [tell]`.

DELAY is how many seconds it thinks about each mail; with `tell` it writes "recipient time" lines.
"""

import asyncio
import sys
import time
from typing import Any

from aiosmtpd.smtp import SMTP


class Sink:
    def __init__(self, delay: float, tell: bool) -> None:
        self.delay, self.tell = delay, tell

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.tell:
            print(envelope.rcpt_tos[0], time.time(), flush=True)
        return "250 OK"


async def serve(port: int, delay: float, tell: bool) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(delay, tell)), "127.0.0.1", port)
    print("ready", 0, flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), "tell" in sys.argv))
