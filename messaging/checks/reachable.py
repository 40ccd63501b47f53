"""The links of words that are not live yet, tried on the web, where somebody asks for it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from messaging.checks.links import Whereabouts
from messaging.checks.remark import Remark
from messaging.fetching import fetch
from messaging.models import LinkHealth
from messaging.probing import Fetch, Probe, Prober, hosts

# Somebody waits for the answer.
SECONDS = 20
AT_ONCE = 8
# One link has an address for each provider; more than this are looked at once they are live.
MOST = 60


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of following addresses: `asked` of `known` were, and why the others were not."""

    remarks: Sequence[Remark] = ()
    known: int = 0
    asked: int = 0
    because: Sequence[str] = ()


def try_links(found: Mapping[str, Whereabouts], *, fetch: Fetch = fetch) -> Followed:
    """Probe these addresses now: what is broken blocks, what cannot be told is advice."""
    prober = Prober(hosts(), fetch)
    confirmed = set(
        LinkHealth.objects.filter(verdict=LinkHealth.Verdict.CONFIRMED).values_list(
            "url", flat=True
        )
    )
    tried = sorted(found)[:MOST]
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="try-link")
    probes = {url: pool.submit(prober.probe, url) for url in tried}
    wait(probes.values(), timeout=SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    remarks: dict[tuple[object, ...], list[Remark]] = {}
    for url, probe in probes.items():
        remark = _remark(url, found[url], probe, is_confirmed=url in confirmed)
        if remark is not None:
            # One link has as many addresses as there are providers.
            same = (remark.check, remark.place, remark.line, remark.message.replace(url, ""))
            remarks.setdefault(same, []).append(remark)
    said = sorted(map(_once, remarks.values()), key=lambda remark: not remark.blocking)
    unasked = [_unasked(probe) for probe in probes.values()]
    because = [why for why in dict.fromkeys(unasked) if why]
    if len(found) > MOST:
        because.append(f"More than {MOST} are followed once they are live.")
    return Followed(said, len(found), unasked.count(""), because)


def _unasked(probe: Future[Probe]) -> str:
    """Why nobody was asked; "" where somebody was."""
    if probe.cancelled() or not probe.done():
        return "There was no time left."
    result = probe.result()
    return "" if result.answer is not None else result.words


def _once(same: Sequence[Remark]) -> Remark:
    """What is true of several addresses of one link, said of the first."""
    first, more = same[0], len(same) - 1
    if not more:
        return first
    others = "another address" if more == 1 else f"{more} other addresses"
    return replace(first, message=f"{first.message} So it is with {others} of this link.")


def _remark(
    url: str, where: Whereabouts, probe: Future[Probe], *, is_confirmed: bool
) -> Remark | None:
    if probe.cancelled() or not probe.done():
        check, blocking = "link_not_tried", False
        message = f"{url} was not tried: there was no time left."
        mend = "Try again; if it stays slow, so it will be for your customers."
    else:
        result = probe.result()
        if result.outcome == "failed":
            check, blocking = "link_broken", True
            message = f"{url} does not work: {result.words}"
            mend = "Correct the path under Setup screens, or repair the screen, and check again."
        elif result.outcome == "cannot_tell" and result.answer is not None and not is_confirmed:
            check, blocking = "link_cannot_tell", False
            message = f"Whether {url} is the right screen cannot be told: {result.words}"
            mend = "Open it yourself once; page events of customers confirm it later."
        else:
            return None
    return Remark(check, where.place, message, mend, blocking, where.line, where.sample)
