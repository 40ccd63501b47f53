"""How long a marketer waits: the preview of what is typed, the remarks, and every reader at once."""

import statistics
import time
from collections.abc import Callable, Iterator

from django.test import Client
from django.utils import timezone

from accounts.models import User
from lifecycle.journeys import blueprint
from lifecycle.pages.editing import typed
from messaging import drafts
from messaging.models import Template, TemplateVersion

# What a person takes for at once, for a page of 24 readers.
LIMIT_MS = 300
# Remarks come beside the words, a while after somebody has stopped typing.
REMARKS_LIMIT_MS = 1000
ROUNDS = 15
KEY = "data_blocked"


def preview_rows() -> Iterator[str]:
    blueprint.load()
    user = User.objects.create(username="bench", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(user)
    # What is live cannot be changed; a draft of it can.
    template = Template.objects.get(key=KEY)
    version = drafts.begin(template, by=user, now=timezone.now())
    address = f"/emails/{KEY}/versions/{version.number}/readers/"
    readers = client.get(address).content.count(b"<iframe")
    numbers = iter(range(1_000_000))

    def form() -> dict[str, str]:
        """What is typed, never the same twice, so that nothing is answered from memory."""
        words = typed.plainly(version.content)
        sent = {
            "version": str(version.pk),
            "revision": "1",
            "variants": str(len(words["variants"])),
        }
        for at, variant in enumerate(words["variants"]):
            sent |= {f"v{at}-{name}": text for name, text in variant.items()}
            sent[f"v{at}-body"] += f"\n\nLine {next(numbers)}."
        return sent

    def every_reader() -> None:
        words = typed.words(form())
        TemplateVersion.objects.filter(pk=version.pk).update(content=words)
        assert client.get(address).status_code == 200

    def typing() -> None:
        json = {"Accept": "application/json"}
        answer = client.post(f"/emails/{KEY}/preview/", form(), headers=json)
        assert "html" in answer.json()

    def checks() -> None:
        assert client.post(f"/emails/{KEY}/check/", form()).status_code == 200

    yield line(f"a page of {readers} readers, new words each time", every_reader)
    yield line("the preview while typing", typing)
    yield line("the remarks while typing", checks, REMARKS_LIMIT_MS)


def line(name: str, work: Callable[[], None], limit: int = LIMIT_MS) -> str:
    work()
    spent = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        spent.append((time.perf_counter() - began) * 1000)
    middle = statistics.median(spent)
    verdict = "ok" if middle <= limit else "ABOVE"
    return f"{name:<52} {middle:>7.0f} ms   worst {max(spent):.0f}   limit {limit} {verdict}"
