"""A mail in the admin, shown in frames that run nothing."""

from django.utils.html import format_html
from django.utils.safestring import SafeString


def frames(url: str, *, height: int = 640) -> SafeString:
    """A mail's HTML and text side by side, in frames that run nothing."""
    return format_html(
        '<div class="mail-preview" style="display:flex;flex-wrap:wrap;gap:16px">'
        '<iframe title="HTML" sandbox src="{0}?part=html" style="flex:1 1 420px;height:{1}px;border:1px solid #8884"></iframe>'
        '<iframe title="Text" sandbox src="{0}?part=text" style="flex:1 1 300px;height:{1}px;border:1px solid #8884"></iframe>'
        "</div>",
        url,
        height,
    )
