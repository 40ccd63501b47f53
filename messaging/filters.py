"""The filters that templates may use, none of which can be made to fill the memory."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from messaging.content import RenderError

VALUE_LIMIT = 20_000
LIST_LIMIT = 1_000
NUMBER_LIMIT = 10**15
DATE_FORMAT = re.compile(r"(?:[^%]|%[-]?[aAbBdeHIjklMmpSyYZ%])*")


def date_filter(value: object, layout: object = "%-d %B %Y") -> str:
    """A date in an ISO text, laid out. Anything else is an error: guessing a date misleads."""
    if not value:
        return ""
    if len(str(layout)) > 60 or not DATE_FORMAT.fullmatch(str(layout)):
        raise RenderError(f"date: {layout!r} is not a date layout we know.")
    try:
        return datetime.fromisoformat(str(value)).strftime(str(layout))
    except ValueError as error:
        raise RenderError(f"date: {value!r} is not a date.") from error


FILTERS = (
    "abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "plus", "round", "times",
    "modulo", "append", "capitalize", "downcase", "lstrip", "prepend", "remove", "remove_first",
    "replace", "replace_first", "rstrip", "split", "strip", "truncate", "truncatewords", "upcase",
    "url_encode", "compact", "concat", "first", "join", "last", "map", "reverse", "size", "sort",
    "uniq", "where", "default",
)  # fmt: skip


def bounded(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, refusing results that only a memory bomb would want."""

    @wraps(inner)
    def outer(value: Any, *arguments: Any, **named: Any) -> Any:
        if name in ("replace", "replace_first") and len(arguments) > 1:
            grown = (str(value).count(str(arguments[0])) + 1) * len(str(arguments[1]))
            if grown > VALUE_LIMIT:
                raise RenderError(f"{name}: the result is too large.")
        result = inner(value, *arguments, **named)
        too_large = (
            (isinstance(result, str) and len(result) > VALUE_LIMIT)
            or (isinstance(result, list | tuple | range) and len(result) > LIST_LIMIT)
            or (isinstance(result, int) and abs(result) > NUMBER_LIMIT)
        )
        if too_large:
            raise RenderError(f"{name}: the result is too large.")
        return result

    return outer
