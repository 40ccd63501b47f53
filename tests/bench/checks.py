"""How long the checks take as somebody types: the blueprint's e-mail with the most words, two dozen readers."""

import statistics
import time
from collections.abc import Callable, Iterator

READERS = 24
# The promise: all variants with two dozen readers, without asking the network.
FLOOR_MS = 500


def check_rows() -> Iterator[str]:
    from lifecycle.journeys import blueprint
    from lifecycle.journeys.checking import check_template
    from lifecycle.journeys.readers import all_like, samples_for
    from messaging import language, markup
    from messaging.checks import layout, look
    from messaging.models import TemplateVersion
    from messaging.rendering import freeze

    blueprint.load()
    frozen = freeze()
    texts = TemplateVersion.objects.values_list("template__key", "content")
    key, content = max(texts, key=lambda text: sum(len(v["body"]) for v in text[1]["variants"]))
    everybody = all_like(samples_for(key, content, frozen), content)
    samples = (everybody * READERS)[:READERS]
    kept = (language.compile_source, markup.compile_mail, layout.parsed, look._tree, look.faint, look.foreign)  # fmt: skip

    def forget() -> None:
        for cache in kept:
            cache.cache_clear()

    said = f"{key}, {len(content['variants'])} variants"
    yield _row(
        f"{said}, {READERS} readers, new words",
        lambda: check_template(key, content, frozen, samples=samples),
        forget,
    )
    yield _row(
        f"{said}, {READERS} readers, again",
        lambda: check_template(key, content, frozen, samples=samples),
    )
    yield _row(
        f"{said}, all {len(everybody)} readers found anew, new words",
        lambda: check_template(key, content, frozen),
        forget,
    )
    yield from explore_rows()


def _row(name: str, work: Callable[[], object], before: Callable[[], None] = lambda: None) -> str:
    took, cost = [], []
    for _ in range(15):
        before()
        began, worked = time.perf_counter(), time.thread_time()
        work()
        took.append((time.perf_counter() - began) * 1000)
        cost.append((time.thread_time() - worked) * 1000)
    middle = statistics.median(took)
    return (
        f"{name:<76} {middle:>5.0f} ms (processor {statistics.median(cost):.0f} ms)  "
        f"floor {FLOOR_MS} ms {'ok' if middle <= FLOOR_MS else 'ABOVE'}"
    )


def explore_rows() -> Iterator[str]:
    """Every product state of each journey of the blueprint, tried anew; a process does it once per document."""
    from lifecycle.engine.explore import explore
    from lifecycle.journeys import documents, publishing
    from lifecycle.journeys.models import JourneyVersion

    cast = publishing.cast()
    for version in JourneyVersion.objects.select_related("journey").order_by("journey__key"):
        journey = documents.read(version.document)
        took, cost = [], []
        for _ in range(7):
            explore.cache_clear()
            began, worked = time.perf_counter(), time.thread_time()
            seen = explore(journey, cast)
            took.append((time.perf_counter() - began) * 1000)
            cost.append((time.thread_time() - worked) * 1000)
        yield (
            f"explore {version.journey.key:<8} {seen.states} states, {len(seen.situations)} situations, "
            f"limits hit: {', '.join(seen.bound) or 'none':<8}{statistics.median(took):>8.0f} ms "
            f"(processor {statistics.median(cost):.0f} ms)"
        )
