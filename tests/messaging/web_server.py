"""A web server on this machine, plain or encrypted, whose paths behave as their names say."""

import datetime
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DRIP_SECONDS = 0.1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Web"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        path = self.path.partition("?")[0]
        told = self.server.says.get(path, self.server.otherwise)
        if path == "/drip":
            self._drip()
        elif path == "/drip-head":
            self._drip_head()
        elif path == "/silent":
            time.sleep(3)
        elif path == "/huge":
            self._huge()
        elif path == "/garbage":
            self.wfile.write(b"not http at all\r\n\r\n")
            self.close_connection = True
        elif isinstance(told, int):
            self._answer(told, f"page {path}" if told == 200 else "no")
        elif told.startswith("->"):
            self._answer(302, "", told[2:].replace("{path}", self.path))
        else:
            self._answer(200, told)

    def _answer(self, status: int, text: str, location: str = "") -> None:
        body = text.encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Set-Cookie", "session=secret; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(300):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    def _drip_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(300):
            self.wfile.write(f"X-{number}: y\r\n".encode())
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    def _huge(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(10**9))
        self.end_headers()
        for _ in range(10**5):
            self.wfile.write(b"x" * 10_000)
            self.server.sent += 10_000

    def log_message(self, *arguments: Any) -> None:
        """Keeps the tests' output quiet."""


class Web(ThreadingHTTPServer):
    """`says` gives each path a status, a page's text, or `->` and where it redirects to."""

    daemon_threads = True

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.says: dict[str, int | str] = {}
        self.otherwise: int | str = 404
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_address[1]}{path}"

    def asked(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [path for path, _ in self.seen]

    def handle_error(self, *arguments: Any) -> None:
        """Clients that hang up are part of the test."""


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for that name, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file
