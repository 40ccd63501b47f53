"""Read an e-mail: what it says and to whom, its versions, and how a version differs from the live one."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing import differing, typed
from lifecycle.pages.editing.matrix import matrix
from lifecycle.pages.editing.rights import EDIT, VIEW
from lifecycle.pages.editing.uses import readers, uses
from lifecycle.pages.screen import screen
from messaging import drafts
from messaging.models import Template, TemplateVersion, VersionStatus


@require_GET
@staff(VIEW)
def show_email(request: StaffRequest, key: str) -> HttpResponse:
    template = get_object_or_404(Template, key=key)
    versions = template.versions.select_related("created_by", "saved_by", "approved_by")
    rows = list(versions.order_by("-number").defer("content", "frozen"))
    live = next((row for row in rows if row.status == VersionStatus.LIVE), None)
    draft = next((row for row in rows if row.status in drafts.UNFINISHED), None)
    shown = live or draft or (rows[0] if rows else None)
    context: dict[str, Any] = {
        "template": template,
        "versions": rows,
        "live": live,
        "draft": draft,
        "open": draft is not None and draft.status in drafts.OPEN,
        "uses": uses().get(key, ()),
        "may_edit": request.user.has_perm(EDIT),
        "shown": shown,
    }
    if shown is not None:
        words = typed.plainly(shown.content)
        context["tables"] = matrix(words, readers(context["uses"]))
        context["variants"] = typed.shown(words)
    return screen(request, "email", context, title=template.name)


@require_GET
@staff(VIEW)
def compare_email(request: StaffRequest, key: str, number: int) -> HttpResponse:
    version = get_object_or_404(TemplateVersion, template__key=key, number=number)
    rows = TemplateVersion.objects.filter(template=version.template_id)
    live = rows.filter(status=VersionStatus.LIVE).first()
    found = differing.differences(
        typed.plainly(version.content), typed.plainly(live.content) if live else {}
    )
    context = {
        "template": version.template,
        "version": version,
        "live": live,
        "differences": found,
    }
    title = f"{version.template.name}: version {number} and the live one"
    return screen(request, "compare_email", context, title=title)
