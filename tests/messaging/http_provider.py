"""A local HTTP server that speaks Postmark's sending API, and misbehaves as its recipients' names ask it to."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_SECONDS = 3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mail = json.loads(body)
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers), mail))
        name = mail["To"].partition("-")[0]
        inactive = {
            "ErrorCode": 406,
            "Message": "You tried to send to recipient(s) that have been marked as inactive. "
            f"Found inactive addresses: {mail['To']}. Inactive recipients are ones that have bounced.",
        }
        answers: dict[str, tuple[int, Any, dict[str, str]]] = {
            "limited": (429, {"ErrorCode": 0, "Message": "Slow down"}, {"Retry-After": "120"}),
            "down": (503, {"ErrorCode": 0, "Message": "Maintenance"}, {}),
            "broken": (500, {"ErrorCode": 0, "Message": "Our fault"}, {}),
            "key": (401, {"ErrorCode": 10, "Message": "Bad or missing API token"}, {}),
            "invalid": (422, {"ErrorCode": 300, "Message": "Invalid email request"}, {}),
            "inactive": (422, inactive, {}),
            "odd": (422, {"ErrorCode": 406, "Message": "Something new about recipients."}, {}),
            "garbage": (200, "<html>not json", {}),
        }
        if name == "hang":
            time.sleep(HANG_SECONDS)
        if name == "drop":
            self.close_connection = True
            self.connection.close()
            return
        accepted = {
            "To": mail["To"], "SubmittedAt": "2026-03-04T09:00:00Z", "ErrorCode": 0, "Message": "OK",
            "MessageID": f"pm-{len(server.seen)}",
        }  # fmt: skip
        status, answer, headers = answers.get(name, (200, accepted, {}))
        text = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: Any) -> None:
        """Keeps the tests' output quiet."""


class Provider(ThreadingHTTPServer):
    """Listens on a free port of loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, *arguments: Any) -> None:
        """Clients that hang up are part of the test."""
