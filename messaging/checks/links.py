"""The links of a template, in every state in which it can be sent: what can be said without asking the web."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.conf import settings

from messaging.checks.remark import Remark, Sample
from messaging.checks.template import together
from messaging.checks.trial import Trials, try_all
from messaging.content import Content, read
from messaging.links import Link, Screens, links_of
from messaging.models import Destination, Host

# Labels of a host name that say "not the real one", and whole domains that are never anybody's product.
STAGING_LABELS = frozenset(
    {"staging", "stage", "stg", "dev", "test", "qa", "uat", "preprod", "preview", "sandbox", "local",
     "localhost", "internal"}
)  # fmt: skip
TUNNELS = ("ngrok.io", "ngrok.app", "ngrok.dev", "ngrok-free.app", "ngrok-free.dev", "trycloudflare.com",
           "localhost.run", "loca.lt", "serveo.net")  # fmt: skip
# Reserved for tests, examples and local networks: RFC 2606, 6761, 6762, 8375; ICANN's `.internal`.
RESERVED = ("test", "example", "invalid", "localhost", "local", "internal", "lan", "home.arpa",
            "example.com", "example.net", "example.org")  # fmt: skip
PLACEHOLDER = re.compile(
    r"\{\{|\}\}|\{%|%\}|<[^>]*>|\b(todo|fixme|tbd|changeme|change-me|replace-?me|lorem|ipsum|foobar)\b"
    r"|\bx{3,}\b|\byour-?(domain|company|product|site|app|name|org|key|id)\b|\binsert-?\w+-?here\b"
    r"|/(undefined|null|none|nan)(?=[/?#]|$)",
    re.IGNORECASE,
)
SECRET_NAMES = re.compile(
    r"(^|[_\-.])(token|jwt|secret|passwor[dt]|passwd|pwd|api[_-]?key|key|auth|authorization|session|"
    r"sid|sessionid|signature|sig|credential|credentials|otp)$",
    re.IGNORECASE,
)
# How well-known services begin their secrets, and every JSON web token.
SECRET_VALUES = re.compile(r"^(sk_|pk_live|rk_live|ghp_|gho_|xox[abp]-|AKIA|eyJ[\w-]{8,})")
LONG_VALUE = 20
# An address in Markdown, where a bracket or a quotation mark ends it.
WRITTEN = re.compile(r"https?://[^\s<>\"'()\[\]]+")
# Names a row, and opens nothing by itself.
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Registry:
    """Where mails may lead: the hosts' base addresses, and what each screen needs of a person."""

    hosts: tuple[str, ...]
    capabilities: Mapping[str, str]


def registry() -> Registry:
    """The registry as it stands now; two queries."""
    return Registry(
        tuple(Host.objects.order_by("key").values_list("base_url", flat=True)),
        dict(Destination.objects.values_list("key", "capability")),
    )


def check_links(
    content: Content | Mapping[str, Any],
    frozen: Mapping[str, Any],
    samples: Sequence[Sample],
    *,
    known: Registry | None = None,
    production: bool | None = None,
) -> list[Remark]:
    """What is wrong with the links of this content, for any of these readers, each said once.

    Of a mail that cannot be rendered, the addresses that stand in its body as they are.
    """
    content = content if isinstance(content, Content) else read(content)
    known = known or registry()
    strict = settings.PRODUCTION if production is None else production
    found = []
    for trial in try_all(content, frozen, samples).done:
        if trial.position is None:
            continue
        body = content.variants[trial.position].body
        links = _written(body) if trial.composed is None else links_of(trial.mail)
        checking = _Checking(frozen, known, trial.sample, links, strict=strict)
        for link, remark in checking.remarks():
            line = _line(body, link.href, checking.screens.key_of(link.href))
            place, name = trial.place("body"), trial.sample.name
            found.append(replace(remark, place=place, line=line, sample=name))
    return together(found)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a link stands, and a reader who gets it."""

    place: str
    line: int | None
    sample: str


def addresses(trials: Trials) -> dict[str, Whereabouts]:
    """Every page on the web that the readers of these mails are led to, and where."""
    nowhere = Registry((), {})
    found: dict[str, Whereabouts] = {}
    for trial in trials.mails:
        assert trial.position is not None
        body = trials.content.variants[trial.position].body
        links = links_of(trial.mail)
        checking = _Checking(trials.frozen, nowhere, trial.sample, links, strict=False)
        for link in checking.links:
            if link.href not in found and link.href.startswith(("https://", "http://")):
                line = _line(body, link.href, checking.screens.key_of(link.href))
                found[link.href] = Whereabouts(trial.place("body"), line, trial.sample.name)
    return found


def _written(body: str) -> list[Link]:
    """The addresses that stand in the source as they are, without any that are made of variables."""
    return [
        Link(href, href, "plain")
        for href in dict.fromkeys(WRITTEN.findall(body))
        if "{" not in href
    ]


def _line(body: str, href: str, key: str) -> int | None:
    """The line of the body where the link stands, as far as that can be told."""
    for number, line in enumerate(body.splitlines(), 1):
        if (key and re.search(rf"\{{%-?\s*(button|link)\s+[\"']{re.escape(key)}[\"']", line)) or (
            href in line
        ):
            return number
    return None


class _Checking:
    """The links of one mail to one reader."""

    def __init__(
        self,
        frozen: Mapping[str, Any],
        known: Registry,
        sample: Sample,
        links: Sequence[Link],
        *,
        strict: bool,
    ) -> None:
        self.known = known
        self.sample = sample
        self.strict = strict
        self.links = [link for link in links if not self._is_ours(link)]
        self.screens = Screens(frozen.get("destinations") or {}, sample.context)
        self.bases = [(urlsplit(base), base) for base in known.hosts]

    def _is_ours(self, link: Link) -> bool:
        """The unsubscribe link is our own, one address at a time, and an address is no page."""
        ours = self.sample.context.get("unsubscribe_url")
        return link.href.lower().startswith("mailto:") or bool(ours and link.href == ours)

    def remarks(self) -> list[tuple[Link, Remark]]:
        buttons = [link for link in self.links if link.kind == "button"]
        return [
            (link, remark)
            for link in self.links
            for remark in self._about(link, is_main=bool(buttons) and link == buttons[0])
        ]

    def _about(self, link: Link, *, is_main: bool) -> list[Remark]:
        try:
            url = urlsplit(link.href)
            host, port = (url.hostname or "").lower().rstrip("."), url.port
        except ValueError:
            host = ""
        if not host:
            return [
                _remark(
                    "link_address",
                    f"“{_short(link.href)}” is no web address.",
                    "Write an address that begins with https:// and names a host.",
                )
            ]
        found = [*self._form(link, url, host)]
        base = next(
            (base for base, _ in self.bases if (base.hostname, base.port) == (host, port)), None
        )
        if base is None:
            allowed = ", ".join(base for _, base in self.bases) or "none yet"
            found.append(
                _remark(
                    "link_host",
                    f"“{_short(link.href)}” leads to {host}, which is not among your hosts.",
                    f"Link to a registered screen, or add the host under Your hosts (now: {allowed}).",
                )
            )
            return found
        key = self.screens.key_of(link.href)
        at_home = url.path.rstrip("/") == base.path.rstrip("/")
        if not key and at_home:
            found.append(
                _remark(
                    "link_homepage",
                    f"“{link.label}” leads to the front page of {host}, not to a setup screen.",
                    "Link to the screen where the step is done: {% button “its key” %}.",
                    blocking=link.kind == "button",
                )
            )
        elif not key:
            found.append(
                _remark(
                    "link_unregistered",
                    f"“{_short(link.href)}” is no registered setup screen.",
                    "Register the screen under Setup screens, with the capability it needs, and link to it by its key.",
                )
            )
        else:
            found += self._screen(link, key, is_main=is_main)
        return found

    def _form(self, link: Link, url: SplitResult, host: str) -> list[Remark]:
        """What the address itself shows: scheme, host's name, placeholders, secrets."""
        found = []
        if url.scheme.lower() != "https":
            found.append(
                _remark(
                    "link_scheme",
                    f"“{_short(link.href)}” is not encrypted.",
                    "Use https:// in the link, or in the host's base address.",
                    blocking=self.strict,
                )
            )
        if why := not_the_real_host(host):
            found.append(
                _remark(
                    "link_staging",
                    f"This leads to {host}: {why}.",
                    "Set your product's own address under Your hosts.",
                    blocking=self.strict,
                )
            )
        rest = unquote(f"{url.path}?{url.query}#{url.fragment}")
        if left := PLACEHOLDER.search(f"{host}{rest}"):
            found.append(
                _remark(
                    "link_placeholder",
                    f"“{_short(link.href)}” still holds a placeholder: {left[0].strip('/')}.",
                    "Put the real value there, or a variable that has one for every reader.",
                )
            )
        if name := secret_in(url):
            found.append(
                _remark(
                    "link_secret",
                    f"The link to {host}{url.path} carries what looks like a secret: {name}.",
                    "Take it out: links are forwarded, logged and prefetched. The screen asks for a login itself.",
                )
            )
        return found

    def _screen(self, link: Link, key: str, *, is_main: bool) -> list[Remark]:
        """Whether this screen is one for this reader, and the right one for the main action."""
        found = []
        needed = self.known.capabilities.get(key, "")
        if not self._may_use(key):
            found.append(
                _remark(
                    "link_capability",
                    f"“{link.label}” leads to {key}, which needs {needed}; the reader lacks it.",
                    "Lead this reader to a screen that they may use, or send the mail to somebody who may.",
                    # Nobody lacks for certain what a role that was never told would grant.
                    blocking=link.kind == "button" and self._has_role(),
                )
            )
        elif (
            is_main and (meant := self._meant()) and key != meant and not self._is_elsewhere(meant)
        ):
            found.append(
                _remark(
                    "link_main_action",
                    f"The main action “{link.label}” leads to {key}; the next step is done at {meant}.",
                    f"Make {meant} the first button: {{% button “{meant}” %}}.",
                )
            )
        return found

    def _meant(self) -> str:
        """The screen that the main action should lead to; empty where any of the reader's own will do."""
        match self.sample.purpose:
            case "confirmation":
                group = "activation"
            case "nudge" | "ask":
                group = "next"
            case _:
                # What is in the way is often looked at on another screen than where the step is done.
                return ""
        return str((self.sample.context.get(group) or {}).get("destination") or "")

    def _is_elsewhere(self, meant: str) -> bool:
        """Whether the next step is not this reader's: they are led to what they themselves can do."""
        return not self._may_use(meant)

    def _has_role(self) -> bool:
        return bool((self.sample.context.get("person") or {}).get("role"))

    def _may_use(self, key: str) -> bool:
        needed = self.known.capabilities.get(key, "")
        return not needed or needed in self.sample.capabilities


def _remark(check: str, message: str, mend: str, *, blocking: bool = True) -> Remark:
    return Remark(check=check, place="", message=message, mend=mend, blocking=blocking)


def _short(url: str) -> str:
    return url if len(url) <= 120 else f"{url[:119]}…"


def not_the_real_host(host: str) -> str:
    """Why this host is hardly the product that customers use; empty where it may be."""
    host = host.lower().rstrip(".")
    try:
        ipaddress.ip_address(host)
        return "a number instead of a name"
    except ValueError:
        pass
    if is_reserved(host):
        return "a name that is reserved for tests and examples"
    if any(host == tunnel or host.endswith(f".{tunnel}") for tunnel in TUNNELS):
        return "a tunnel to somebody's own machine"
    labels = host.split(".")
    if "." not in host:
        return "a name without a domain"
    words = {word for label in labels[:-1] for word in re.split(r"[-_]|\d+$", label)}
    if seen := sorted(words & STAGING_LABELS):
        return f"“{seen[0]}” looks like a place for trying things out"
    return ""


def is_reserved(host: str) -> bool:
    """Whether nobody can have this name on the internet."""
    host = host.lower().rstrip(".")
    return any(host == each or host.endswith(f".{each}") for each in RESERVED)


def secret_in(url: SplitResult) -> str:
    """The name of what looks like a secret in the address; empty where nothing does."""
    if url.username or url.password:
        return "a user name or password"
    for part in (url.query, url.fragment):
        for name, value in parse_qsl(part, keep_blank_values=False):
            if SECRET_NAMES.search(name) or _is_random(value):
                return name
    return ""


def _is_random(value: str) -> bool:
    """Whether it is long and nothing that a person would have written: letters and digits run into each other."""
    if SECRET_VALUES.match(value):
        return True
    if len(value) < LONG_VALUE or UUID.fullmatch(value):
        return False
    return len(re.findall(r"(?<=[a-z])\d|(?<=\d)[a-z]", value.lower())) >= 4
