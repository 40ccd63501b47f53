"""An e-mail of a change set as the editor's readers get it, for a frame: as it shall be, or as it was."""

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_GET

from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing import typed
from lifecycle.pages.editing.samples import samples_for
from lifecycle.pages.editing.seen import Seen, see_variant
from lifecycle.pages.reviewing.change_set import change_set_or_404
from lifecycle.pages.reviewing.rights import VIEW
from messaging import preview, review
from messaging.checks.remark import Sample
from messaging.content import RenderError
from messaging.models import ChangeSet, TemplateVersion
from messaging.rendering import freeze


@require_GET
@staff(VIEW)
def show_change_set_mail(request: StaffRequest, pk: int, version: int, at: int) -> HttpResponse:
    found = _version(change_set_or_404(pk), version)
    shown = _seen(found, at)
    return preview.frame(
        shown.rendered or RenderError(shown.error), part=request.GET.get("part", "html")
    )


def _seen(version: TemplateVersion, at: int) -> Seen:
    """Variant `at` as whoever writes it sees it: for the first reader who gets it. Raises Http404 for none."""
    words, frozen = typed.plainly(version.content), version.frozen or freeze()
    if at >= len(words["variants"]):
        raise Http404
    samples = samples_for(version.template.key, words, frozen)
    if not samples:
        return Seen(Sample("", "", {}), None, error="No reader can get this e-mail.")
    return see_variant(words, frozen, samples, samples[0], at)


def _version(change_set: ChangeSet, pk: int) -> TemplateVersion:
    """A version of the change set, frozen as it would be, or another of the same e-mail."""
    members = [one for one in review.members_of(change_set) if isinstance(one, TemplateVersion)]
    if change_set.status == ChangeSet.Status.DRAFT:
        members = list(review.proposed(change_set).templates)
    for member in members:
        if member.pk == pk:
            return member
    others = TemplateVersion.objects.filter(template__in=[one.template_id for one in members])
    row = others.filter(pk=pk).first()
    if row is None:
        raise Http404
    return row
