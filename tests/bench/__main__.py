"""Run the rows and print them."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests import environment  # noqa: F401 - puts the test world into the environment
from tests.postgres import cluster


@dataclass(frozen=True)
class Row:
    """One comparison: a unit of work done by us and by the barest rival, and the floor for ours ÷ theirs.

    `ours` and `theirs` return how many units they did; they are run in turn, `rounds` times each.
    """

    name: str
    unit: str
    floor: float | None
    ours: Callable[[], int]
    theirs: Callable[[], int]
    rounds: int = 7


def rate(work: Callable[[], int]) -> float:
    began = time.perf_counter()
    units = work()
    return units / (time.perf_counter() - began)


def measure(row: Row) -> str:
    """The row as a line: medians of both rates, the median of the ratios, and their span."""
    row.ours()
    row.theirs()
    pairs = [(rate(row.ours), rate(row.theirs)) for _ in range(row.rounds)]
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    middle = statistics.median(ratios)
    verdict = (
        ""
        if row.floor is None
        else f"floor {row.floor:.2f} {'ok' if middle >= row.floor else 'BELOW'}"
    )
    return (
        f"{row.name:<44} {statistics.median(p[0] for p in pairs):>10,.0f} {row.unit:<12} "
        f"ratio {middle:5.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})  {verdict}"
    )


def main(names: list[str]) -> int:
    with cluster(durable=True) as here:
        os.environ["DATABASE_URL"] = here.url
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        # As in production: the suite reads everything anew each time.
        settings.DEFINITION_KEPT_SECONDS = 1.0
        from lifecycle.memory import keep_what_is_loaded
        from tests.bench import checks, http, mail, preview, rows

        keep_what_is_loaded()

        groups: dict[str, Callable[[], Iterator[Row | str]]] = {
            **rows.GROUPS,
            "http": http.http_rows,
            "mail": mail.mail_rows,
            "latency": mail.latency_rows,
            "preview": preview.preview_rows,
            "check": checks.check_rows,
        }
        for name in names or list(groups):
            print(f"\n{name}", flush=True)
            for row in groups[name]():
                print("  " + (row if isinstance(row, str) else measure(row)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
