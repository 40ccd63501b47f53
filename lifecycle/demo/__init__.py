"""The demo: everything on this machine, and a story told through a real SDK.

`python -m lifecycle.demo` stays up; with `--check` it compares what each account got with what it
should have got, and exits non-zero if anything differs.
"""
