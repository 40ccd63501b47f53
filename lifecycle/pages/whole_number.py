"""Whole numbers as forms and addresses say them: the id of a row, a revision, a place in a list."""

# As many as every column for ids can hold, whatever the digits are.
MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """The number, or None where the text is none that could be stored; `²` is a digit, but no number."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
