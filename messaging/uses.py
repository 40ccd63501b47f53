"""Which shared texts and which screens the words of a template name, so that its users can be found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from liquid import Node, RenderContext
from liquid.builtin.expressions.primitive import StringLiteral

from messaging.content import ContentError, RenderError, read
from messaging.language import (
    ButtonNode,
    ComponentNode,
    LinkNode,
    SnippetNode,
    TipNode,
    compile_source,
)
from messaging.models import Destination, Snippet, Template, TemplateVersion, VersionStatus

TIP = "tip-"


@dataclass(frozen=True, slots=True)
class Uses:
    """What is named. Where a variable chooses (`any_…`), every snippet or screen may be meant."""

    snippets: frozenset[str] = frozenset()
    destinations: frozenset[str] = frozenset()
    any_snippet: bool = False
    any_destination: bool = False
    tips: bool = False

    def snippet(self, key: str) -> bool:
        """Whether this snippet can stand in the mail."""
        return self.any_snippet or key in self.snippets or (self.tips and key.startswith(TIP))

    def destination(self, key: str) -> bool:
        """Whether the mail can link to this screen."""
        return self.any_destination or key in self.destinations

    def __or__(self, other: "Uses") -> "Uses":
        return Uses(
            self.snippets | other.snippets,
            self.destinations | other.destinations,
            self.any_snippet or other.any_snippet,
            self.any_destination or other.any_destination,
            self.tips or other.tips,
        )


EVERYTHING = Uses(any_snippet=True, any_destination=True)


def users_of(row: Snippet | Destination, statuses: Iterable[VersionStatus]) -> list[Template]:
    """The templates with a version of these statuses that can show the text or lead to the screen."""
    bodies = dict(Snippet.objects.values_list("key", "body"))
    versions = TemplateVersion.objects.filter(status__in=list(statuses)).select_related("template")
    using: dict[int, Template] = {}
    for version in versions.defer("frozen").order_by("template__key"):
        named = of_content(version.content, bodies)
        ask = named.snippet if isinstance(row, Snippet) else named.destination
        if ask(row.key):
            using[version.template_id] = version.template
    return list(using.values())


def of_content(content: Mapping[str, Any], snippets: Mapping[str, str]) -> Uses:
    """What these words can show, through the snippets (key → body) they name too.

    Words that cannot be read may mean anything.
    """
    try:
        found = _of_texts(variant.body for variant in read(content).variants)
    except ContentError:
        return EVERYTHING
    followed: set[str] = set()
    while new := {key for key in snippets if found.snippet(key)} - followed:
        followed |= new
        found |= _of_texts(snippets[key] for key in new)
    return found


def _of_texts(texts: Iterable[str]) -> Uses:
    found = Uses()
    for text in texts:
        try:
            template = compile_source("body", text)
        except RenderError:
            return EVERYTHING
        static = RenderContext(template)
        for node in template.nodes:
            for component in _components(node, static):
                found |= _of_component(component)
    return found


def _components(node: Node, static: RenderContext) -> Iterator[ComponentNode]:
    if isinstance(node, ComponentNode):
        yield node
    for child in node.children(static, include_partials=False):
        yield from _components(child, static)


def _of_component(node: ComponentNode) -> Uses:
    named = frozenset({node.argument.value}) if isinstance(node.argument, StringLiteral) else None
    match node:
        case TipNode():
            return Uses(tips=True)
        case SnippetNode():
            return Uses(snippets=named) if named else Uses(any_snippet=True)
        case ButtonNode() | LinkNode():
            return Uses(destinations=named) if named else Uses(any_destination=True)
        case _:
            return Uses()
