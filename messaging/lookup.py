"""The DNS, through one door, so that tests can point it at this machine."""

from dataclasses import dataclass
from typing import Any, Protocol

import dns.exception
import dns.resolver

SECONDS = 3.0


class Unanswered(Exception):
    """No answer came in time, or none that could be read: nothing is known about the name."""


class Lookup(Protocol):
    """What the checks ask of the DNS."""

    def texts(self, name: str) -> list[str]: ...
    def mail_hosts(self, name: str) -> list[str]: ...
    def has_address(self, name: str) -> bool: ...


@dataclass
class Dns:
    """Answers from the system's name servers, or from those of the resolver given."""

    resolver: dns.resolver.Resolver

    def texts(self, name: str) -> list[str]:
        """The name's TXT records, each joined from its parts; none where there are none."""
        answers = self._ask(name, "TXT")
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answers]

    def mail_hosts(self, name: str) -> list[str]:
        """The name's mail servers, most preferred first; `.` stands for "takes no mail" (RFC 7505)."""
        answers = sorted(self._ask(name, "MX"), key=lambda record: record.preference)
        return [str(record.exchange) for record in answers]

    def has_address(self, name: str) -> bool:
        return bool(self._ask(name, "A") or self._ask(name, "AAAA"))

    def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            return list(self.resolver.resolve(name, kind, lifetime=SECONDS))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise Unanswered(f"The DNS did not answer for {name}: {error}") from error


def system() -> Dns:
    """The name servers that this machine uses."""
    return Dns(dns.resolver.Resolver())
