"""Which accounts are the control group: the same answer for the same account, for ever."""

import hashlib

PARTS = 10_000  # a percent in hundredths


def in_holdout(salt: str, account_key: str, percent: float) -> bool:
    """Whether the account is held out. SHA-256 of salt and account, so it looks like chance."""
    digest = hashlib.sha256(f"{salt}:{account_key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % PARTS < round(percent * 100)
