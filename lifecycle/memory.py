"""What a process loads before its first piece of work, and Python's garbage collector told what will stay.

A full collection over everything that Django has loaded takes longer than handing over twenty mails, and
comes every few hundred; small ones, several in every batch of events, find nothing.
"""

import gc
from functools import cache

from django.urls import get_resolver

# Collect young objects once in so many allocations, not every 700: a batch makes thousands that die by themselves.
YOUNG = 20_000


@cache
def keep_what_is_loaded() -> None:
    """Load what the first request or mail would wait for, and leave it all out of collections; once per process."""
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
