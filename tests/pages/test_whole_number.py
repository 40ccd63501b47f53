"""Whole numbers out of forms and addresses, and what else comes in their place."""

import pytest

from lifecycle.pages.whole_number import whole_number


@pytest.mark.parametrize("text", ["", "²", "-1", "1.5", "0x1", "abc", "9" * 20, "9" * 5000])
def test_what_is_no_number_that_could_be_stored(text):
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("17", 17), ("9" * 18, 10**18 - 1)])
def test_a_number(text, number):
    assert whole_number(text) == number
