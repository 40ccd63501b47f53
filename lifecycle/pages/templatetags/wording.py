"""Lengths of time, shares, commands and JSON, as people read them."""

import json
import re
from datetime import timedelta
from typing import Any

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from messaging.review.record import ACTS

register = template.Library()


@register.filter
def span(length: timedelta) -> str:
    """The two largest units: "3 days 4 h", "2 h 10 min", "45 s"."""
    seconds = int(length.total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} {'day' if days == 1 else 'days'}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes else f"{seconds} s"


@register.filter
def percent(share: float) -> str:
    """A share of 1 as whole percent."""
    return f"{share * 100:.0f} %"


@register.filter
def commands(text: str) -> SafeString:
    """Escaped text in which what stands in `backticks` is shown as code."""
    escaped = re.sub(r"`([^`]*)`", r"<code>\1</code>", conditional_escape(text))
    return mark_safe(escaped)  # noqa: S308 - escaped the line before


@register.filter
def pretty(value: Any) -> str:
    """A JSON value as people read it: indented, and every letter as itself."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def did(act: str) -> str:
    """An act of the audit record in words: "asked for changes to"."""
    return ACTS.get(act, act.replace("_", " "))
