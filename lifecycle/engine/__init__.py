"""The pure core: what product events mean and what to do about it.

Nothing here knows Django, the database, the clock or the network; `now` is an argument.
"""

ENGINE_VERSION = "2"
"""Stored with every decision; raise it when `fold` or `decide` changes its mind about anything."""
