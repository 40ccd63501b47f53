"""Leaving: the signed link in every mail, the page behind it, and the mail program's one-click POST."""

from dataclasses import dataclass

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts.models import ConsentCategory
from messaging import suppression
from messaging.models import Address, Suppression

SIGNER_SALT = "messaging.unsubscribe"
SOURCE = "unsubscribe link"


@dataclass(frozen=True, slots=True)
class Wish:
    """Who is leaving, and which kind of mail."""

    address: Address
    category: ConsentCategory

    @property
    def stopped(self) -> str:
        """What has been stopped already: `everything`, `category`, or nothing."""
        standing = set(
            Suppression.objects.filter(
                address=self.address,
                reason=Suppression.Reason.UNSUBSCRIBE,
                category__in=["", self.category],
                lifted_at=None,
            ).values_list("category", flat=True)
        )
        if "" in standing:
            return "everything"
        return "category" if standing else ""


def url(address_id: int, category: str) -> str:
    """The address under which this reader stops this kind of mail; it does not expire and tells nothing about them."""
    token = Signer(salt=SIGNER_SALT).sign(f"{address_id}-{category}")
    return settings.SITE_URL + reverse("unsubscribe", args=[token])


def wish_of(token: str) -> Wish | None:
    """Whose link it is, and about what; None where it was tampered with."""
    try:
        pk, _, category = Signer(salt=SIGNER_SALT).unsign(token).partition("-")
        kind = ConsentCategory(category)
        address = Address.objects.filter(pk=int(pk)).first()
    except (BadSignature, ValueError):
        return None
    return Wish(address, kind) if address else None


@csrf_exempt  # RFC 8058: the mail program posts without having seen a page of ours.
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, token: str) -> HttpResponse:
    """GET only shows; POST acts, whatever its body, since the address alone says who leaves and what they stop."""
    wish = wish_of(token)
    if wish is None:
        return render(
            request,
            "messaging/unsubscribe.html",
            {"product": settings.PRODUCT_NAME, "broken": True},
            status=404,
        )
    if request.method == "POST":
        now = timezone.now()
        if request.GET.get("stop") == "everything":
            suppression.unsubscribe(wish.address.value, source=SOURCE, now=now)
        else:
            suppression.refuse(wish.address, wish.category, source=SOURCE, now=now)
    context = {
        "product": settings.PRODUCT_NAME,
        "address": wish.address.value,
        "kind": wish.category.label,
        "stopped": wish.stopped,
    }
    return render(request, "messaging/unsubscribe.html", context)
