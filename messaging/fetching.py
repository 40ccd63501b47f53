"""The only code that fetches an address from the web: guarded, bounded, and it raises nothing.

A name is resolved here, every address it has is judged, and the connection is made to one of exactly
those addresses, so that a name which answers differently the second time (DNS rebinding) gains nothing.
Redirects are followed by hand and judged like the first address. Certificates are verified against the name.
"""

import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpcore
import httpx
from django.conf import settings

USER_AGENT = "IntegrationSetupLinkCheck/1.0 (checks the links of setup e-mails)"
SECONDS = 10.0  # for everything together: the DNS, every hop, the body
REDIRECTS = 5
BODY_LIMIT = 64 * 1024  # bytes; what is longer is cut off there
URL_LIMIT = 2000
PORTS = {"http": 80, "https": 443}
HOST = re.compile(rb"[a-z0-9._-]+|[0-9a-f:.]+")
REDIRECTING = frozenset({301, 302, 303, 307, 308})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# From a host name to its addresses. Raises OSError where there are none.
Resolver = Callable[[str], Sequence[str]]


class Problem(StrEnum):
    """Why there is no usable answer."""

    BAD_ADDRESS = "bad_address"
    REFUSED_ADDRESS = "refused_address"
    NO_SUCH_HOST = "no_such_host"
    NO_CONNECTION = "no_connection"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    ENCRYPTION = "encryption"
    NOT_HTTP = "not_http"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REDIRECT_LOOP = "redirect_loop"
    INSECURE_REDIRECT = "insecure_redirect"


@dataclass(frozen=True, slots=True)
class Hop:
    """One address that was asked, what it answered, and where it pointed to."""

    url: str
    status: int
    location: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of it. `status` is the last answer's, None where there was none; an answer whose body
    then failed has both a status and a problem.

    `arrived` is where the last answer came from, or the address that it was told to stop at.
    """

    url: str
    status: int | None = None
    hops: tuple[Hop, ...] = ()
    arrived: str = ""
    stopped: bool = False
    problem: Problem | None = None
    detail: str = ""
    body: bytes = b""
    cut_off: bool = False
    seconds: float = 0.0


class _Failed(Exception):
    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


# --- which addresses may be asked -----------------------------------------------------------------

# Prefixes whose addresses carry an IPv4 address, which is where a packet may end: RFC 6052 and 8215
# (NAT64), RFC 4291 (compatible). Mapped, 6to4 and Teredo ones are known to `ipaddress`.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
COMPATIBLE = ipaddress.IPv6Network("::/96")
# What `is_global` of some Python versions takes for public, or a cloud's own service inside public space.
NEVER = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24", "192.88.99.0/24",
        "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32", "64:ff9b:1::/48",
        "100::/64", "2001::/23", "2001:db8::/32", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip


def is_public(address: Address) -> bool:
    """Whether the address, and any that is wrapped in it, is out on the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            # What a network without IPv4 resolves every IPv4-only name to.
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if not all(is_public(inner) for inner in _wrapped(address)):
            return False
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        and not any(address.version == net.version and address in net for net in NEVER)
    )


def _wrapped(address: ipaddress.IPv6Address) -> Iterable[Address]:
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in COMPATIBLE:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _may_ask(address: Address) -> bool:
    if settings.PROBE_ALLOW_LOOPBACK and address.is_loopback:
        return True
    # A mapped address is really asked as the IPv4 address that it maps.
    return not (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) and is_public(
        address
    )


def system_addresses(name: str) -> list[str]:
    """The name's addresses, as this machine resolves it. Raises OSError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _within(seconds: float, resolve: Resolver, name: str) -> Sequence[str]:
    """Resolve in a thread of its own: the system's resolver knows no time limit."""
    answers: queue.SimpleQueue[Sequence[str] | OSError | ValueError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(name))
        except (OSError, ValueError) as error:  # UnicodeError is a ValueError
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=max(seconds, 0))
    except queue.Empty:
        raise _Failed(Problem.TIMEOUT, f"The DNS did not answer for {name}.") from None
    if isinstance(answer, OSError | ValueError):
        raise _Failed(Problem.NO_SUCH_HOST, f"{name} has no address.")
    return answer


@dataclass
class _Budget:
    """What is left of the time for everything together."""

    until: float

    def left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise _Failed(Problem.TIMEOUT, "It took too long.")
        return left


def _addresses(url: httpx.URL, resolve: Resolver, budget: _Budget, *, inside: bool) -> list[str]:
    """The addresses that may be asked for this host. One refused address refuses the name."""
    host = url.host.rstrip(".")
    try:
        literal = ipaddress.ip_address(host)
        found = [str(literal)]
    except ValueError:
        found = list(_within(budget.left(), resolve, host))
    if not found:
        raise _Failed(Problem.NO_SUCH_HOST, f"{host} has no address.")
    for text in found:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            raise _Failed(Problem.REFUSED_ADDRESS, f"{host} is at {text[:60]!r}.") from None
        if not inside and not _may_ask(address):
            raise _Failed(
                Problem.REFUSED_ADDRESS, f"{host} is at {address}, which is not on the internet."
            )
    return found


def _checked(url: str, *, inside: bool) -> httpx.URL:
    """The address, read by the same parser that will be asked. Raises _Failed."""
    if len(url) > URL_LIMIT:
        raise _Failed(Problem.BAD_ADDRESS, "The address is too long.")
    try:
        read = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise _Failed(Problem.BAD_ADDRESS, f"It is no web address: {error}"[:200]) from error
    if read.scheme not in PORTS or not read.host:
        raise _Failed(Problem.BAD_ADDRESS, "A web address begins with https:// and names a host.")
    if not HOST.fullmatch(read.raw_host):
        raise _Failed(Problem.BAD_ADDRESS, f"{read.host[:80]!r} is no name of a host.")
    if read.userinfo:
        raise _Failed(Problem.BAD_ADDRESS, "It holds a user name or a password.")
    if read.port not in (None, PORTS[read.scheme]) and not (
        inside or settings.PROBE_ALLOW_LOOPBACK
    ):
        raise _Failed(Problem.BAD_ADDRESS, f"Port {read.port} is not the web's.")
    return read


# --- the connection -------------------------------------------------------------------------------


class _Stream(httpcore.NetworkStream):
    """A stream none of whose waits outlasts the budget, however slowly the other side drips."""

    def __init__(self, inner: httpcore.NetworkStream, budget: _Budget) -> None:
        self.inner = inner
        self.budget = budget

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self.inner.read(max_bytes, self.budget.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self.inner.write(buffer, self.budget.left())

    def close(self) -> None:
        self.inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        inner = self.inner.start_tls(ssl_context, server_hostname, self.budget.left())
        return _Stream(inner, self.budget)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)


class _Pinned(httpcore.NetworkBackend):
    """Connects to the addresses that were judged, whatever name is asked for."""

    def __init__(self, addresses: Sequence[str], budget: _Budget) -> None:
        self.addresses = addresses
        self.budget = budget
        self.plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        last: Exception | None = None
        for address in self.addresses:
            try:
                inner = self.plain.connect_tcp(
                    address, port, self.budget.left(), local_address, socket_options
                )
                return _Stream(inner, self.budget)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError("no address")


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass
class _Asking:
    """One call of `fetch`: what it sends, and what it has found so far."""

    method: str
    content: bytes
    headers: Mapping[str, str]
    resolve: Resolver
    budget: _Budget
    inside: bool
    tls: ssl.SSLContext
    hops: list[Hop] = field(default_factory=list)
    body: bytes = b""
    cut_off: bool = False

    def ask(self, url: httpx.URL) -> Hop:
        """One request to one address, without following anything. Raises _Failed."""
        addresses = _addresses(url, self.resolve, self.budget, inside=self.inside)
        host = url.netloc.decode("ascii")
        sent = {"host": host, "user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity"}  # fmt: skip
        sent |= {name.lower(): value for name, value in self.headers.items()}
        if self.content:
            sent["content-length"] = str(len(self.content))
        backend = _Pinned(addresses, self.budget)
        # Without the final dot, which no certificate carries.
        sni = {"sni_hostname": url.host.rstrip(".")}
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self.tls, network_backend=backend) as pool,
                pool.stream(
                    self.method,
                    httpcore.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port,
                        target=url.raw_path,
                    ),
                    headers=[(name.encode(), value.encode()) for name, value in sent.items()],
                    content=self.content or None,
                    extensions=sni,
                ) as answer,
            ):
                hop = Hop(str(url), answer.status, _location(dict(answer.headers)))
                self.hops.append(hop)
                self._read(answer)
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise _Failed(Problem.TIMEOUT, "It took too long.") from error
        except httpcore.ConnectError as error:
            raise _from_connection(error) from error
        except (httpcore.NetworkError, OSError) as error:
            raise _Failed(Problem.NO_CONNECTION, "The connection broke.") from error
        except (httpcore.ProtocolError, ValueError) as error:
            raise _Failed(Problem.NOT_HTTP, f"The answer is not HTTP: {error}"[:200]) from error
        return hop

    def _read(self, answer: httpcore.Response) -> None:
        body = bytearray()
        self.cut_off = False
        for piece in answer.iter_stream():
            body += piece
            if len(body) >= BODY_LIMIT:
                self.cut_off = True
                break
        self.body = bytes(body[:BODY_LIMIT])


def _location(headers: Mapping[bytes, bytes]) -> str:
    lower = {name.lower(): value for name, value in headers.items()}
    return lower.get(b"location", b"").decode("utf-8", "replace")


def _from_connection(error: Exception) -> _Failed:
    """Why no connection came about; TLS's own errors arrive inside of the connection's."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return _Failed(Problem.CERTIFICATE, f"The certificate is not valid: {seen.verify_message}")  # fmt: skip
        if isinstance(seen, ssl.SSLError):
            return _Failed(Problem.ENCRYPTION, f"No encrypted connection: {seen.reason or seen}")
        seen = seen.__cause__ or seen.__context__
    return _Failed(Problem.NO_CONNECTION, f"Nothing answers there: {error}"[:200])


# --- the whole way --------------------------------------------------------------------------------


def fetch(
    url: str,
    *,
    method: str = "GET",
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    follow: bool = True,
    stop_at: Callable[[str], bool] = lambda _: False,
    seconds: float = SECONDS,
    inside: bool = False,
    resolve: Resolver = system_addresses,
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """Ask the address and follow its redirects; every outcome is a value.

    `stop_at` says of a redirect's target whether to arrive there without asking it. `inside` lets it ask
    private addresses and other ports: only for an address that the operator set, never for one from a page.
    `resolve` and `tls` are for tests.
    """
    began = time.monotonic()
    asking = _Asking(
        method, content, headers or {}, resolve, _Budget(began + seconds), inside, tls or _context()
    )
    arrived, stopped = url, False
    problem: Problem | None = None
    detail = ""
    try:
        arrived, stopped = _follow(asking, url, follow=follow, stop_at=stop_at)
    except _Failed as failed:
        problem, detail = failed.problem, failed.detail
        arrived = asking.hops[-1].url if asking.hops else url
    return Fetched(
        url=url,
        status=asking.hops[-1].status if asking.hops else None,
        hops=tuple(asking.hops),
        arrived=arrived,
        stopped=stopped,
        problem=problem,
        detail=detail,
        body=asking.body,
        cut_off=asking.cut_off,
        seconds=time.monotonic() - began,
    )


def _follow(
    asking: _Asking, url: str, *, follow: bool, stop_at: Callable[[str], bool]
) -> tuple[str, bool]:
    """Where it ended, and whether that was a place to stop at. Raises _Failed."""
    here = _checked(url, inside=asking.inside)
    seen = {str(here)}
    for _ in range(REDIRECTS + 1):
        hop = asking.ask(here)
        if not (follow and hop.status in REDIRECTING and hop.location):
            return str(here), False
        try:
            target = str(here.join(hop.location))
        except (httpx.InvalidURL, ValueError) as error:
            raise _Failed(Problem.BAD_ADDRESS, "It redirects to no web address.") from error
        if stop_at(target):
            return target, True
        there = _checked(target, inside=asking.inside)
        if here.scheme == "https" and there.scheme == "http":
            raise _Failed(
                Problem.INSECURE_REDIRECT, f"It redirects to {there}, which is not encrypted."
            )
        here = there.copy_with(fragment=None)
        if str(here) in seen:
            raise _Failed(Problem.REDIRECT_LOOP, "It redirects in a circle.")
        seen.add(str(here))
    raise _Failed(Problem.TOO_MANY_REDIRECTS, f"It redirects more than {REDIRECTS} times.")
