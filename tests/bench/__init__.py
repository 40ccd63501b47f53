"""Speed, as ratios: ours against the barest thing that does the same work, taken in turn in one run.

`make bench` starts a durable PostgreSQL of its own and prints every row; `make bench ROWS="look tick"`
only some. The floors stand beside the ratios; nothing here is a test.
"""
