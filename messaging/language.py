"""The template language: Liquid with a short list of tags and filters, limits, and our components.

What a variable prints never takes part in the mark-up around it. In a body each printed value
becomes a *slot*, a numbered mark of private characters; Markdown and MJML see only the mark, and
the value is escaped and put in at the very end. So a customer who is called `[click](http://bad)`
stays a name, and everything between Liquid and the slots can be cached per wording.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, TextIO
from urllib.parse import quote

from liquid import Environment, Node, RenderContext, Token
from liquid.ast import BlockNode
from liquid.builtin import content as literal
from liquid.builtin import illegal
from liquid.builtin.expressions import parse_primitive
from liquid.builtin.expressions.primitive import RangeLiteral, StringLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.exceptions import LiquidError, UndefinedError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.stringify import to_liquid_string
from liquid.tag import Tag
from liquid.template import BoundTemplate
from liquid.token import TOKEN_EOF, TOKEN_TAG
from liquid.undefined import FalsyStrictUndefined

from messaging.content import VARIABLES, NoValue, RenderError, UnknownKey, UnknownVariable, blaming
from messaging.filters import FILTERS, LIST_LIMIT, VALUE_LIMIT, bounded, date_filter
from messaging.slots import (
    BLOCK,
    BLOCK_END,
    BLOCK_NAME_END,
    CONTROL,
    PART,
    RESERVED,
    Blank,
    Run,
    Way,
    run_of,
)

OUTPUT_LIMIT = 60_000
SNIPPET_DEPTH = 4


class Missing(FalsyStrictUndefined):
    """A variable without a value: false in a condition, `default` replaces it, printing it is an error."""

    force_liquid_default = True


def line_of(token: Token) -> int:
    """The line of its text that a token begins in, counted from 1."""
    return token.source.count("\n", 0, token.start_index) + 1


class at_line:
    """Gives an error from inside the line of this token, unless it has one of its own."""

    __slots__ = ("token",)

    def __init__(self, token: Token) -> None:
        self.token = token

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, RenderError) and error.line is None:
            error.line = line_of(self.token)


# --- what prints --------------------------------------------------------------------------
class ValueNode(OutputNode):
    """`{{ … }}`: prints plainly, quoted for a URL, or as a slot, as its environment says."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        run = run_of(context)
        with at_line(self.token):
            run.check_time()
            value = to_liquid_string(self.expression.evaluate(context), autoescape=False)
            if len(value) > VALUE_LIMIT:
                raise RenderError(f"{self} is too long.")
        if not value:
            run.blanks.append(Blank(str(self), line_of(self.token), run.place))
        match context.env:
            case Body():
                return buffer.write(run.slot(value))
            case Address():
                return buffer.write(quote(value, safe=""))
            case _:
                return buffer.write(CONTROL.sub("", value))


class ValueOutput(Output):
    node_class = ValueNode


class PatientBlock(Node):
    """A loop's body: looks at the stopwatch each round, whatever stands in it."""

    def __init__(self, block: BlockNode) -> None:
        super().__init__(block.token)
        self.block = block
        self.blank = block.blank

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        with at_line(self.token):
            run_of(context).check_time()
        return self.block.render(context, buffer)

    def children(self, static_context: RenderContext, **_: Any) -> list[Node]:  # noqa: ARG002
        return [self.block]


class PatientForNode(for_tag.ForNode):
    def __init__(self, token: Token, expression: Any, block: Any, default: Any = None) -> None:
        super().__init__(token, expression, block, default)
        self.block = PatientBlock(block)  # type: ignore[assignment]


class PatientForTag(for_tag.ForTag):
    node_class = PatientForNode


class AssignedNode(assign_tag.AssignNode):
    """`{% assign %}`, which knows its line when a filter refuses."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        with at_line(self.token):
            return super().render_to_output(context, buffer)


class AssignedTag(assign_tag.AssignTag):
    node_class = AssignedNode


class CapturedNode(capture_tag.CaptureNode):
    """`{% capture %}` keeps plain text, so that filters never see a mark."""

    def _assign(self, context: RenderContext, buf: Any) -> None:
        context.assign(self.name, run_of(context).expand(buf.getvalue()))


class CapturedTag(capture_tag.CaptureTag):
    node_class = CapturedNode


# --- components ---------------------------------------------------------------------------
class ComponentNode(Node):
    """A tag of ours with at most one argument and at most one block."""

    def __init__(
        self, token: Token, argument: Expression | None = None, block: BlockNode | None = None
    ) -> None:
        super().__init__(token)
        self.argument = argument
        self.block = block
        self.blank = False

    def children(self, static_context: RenderContext, **_: Any) -> list[Node]:  # noqa: ARG002
        return [self.block] if self.block else []

    def expressions(self) -> list[Expression]:
        return [self.argument] if self.argument else []

    def key(self, context: RenderContext) -> str:
        """What the argument names; an empty variable is an error."""
        assert self.argument is not None
        return to_liquid_string(self.argument.evaluate(context), autoescape=False)

    def inner(self, context: RenderContext) -> str:
        assert self.block is not None
        buffer = context.get_buffer()
        self.block.render(context, buffer)
        return str(buffer.getvalue())


class ComponentTag(Tag):
    """Parses `{% name argument %}` and, where it has an end, the block up to `{% endname %}`."""

    node_class: ClassVar[type[ComponentNode]]
    with_argument = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.current
        argument = None
        if self.with_argument:
            stream.eat(TOKEN_TAG)
            # The caller steps over the last token of a tag, so only a block's tag eats its argument.
            tokens = stream.into_inner(tag=token, eat=self.block)
            argument = parse_primitive(self.env, tokens)
            tokens.expect_eos()
        elif self.block:
            stream.eat(TOKEN_TAG)
        if not self.block:
            return self.node_class(token, argument)
        block = get_parser(self.env).parse_block(stream, (self.end, TOKEN_EOF))
        stream.expect(TOKEN_TAG, value=self.end)
        return self.node_class(token, argument, block)


def block_mark(name: str, content: str) -> str:
    return f"\n\n{BLOCK}{name}{BLOCK_NAME_END}{content}{BLOCK_END}\n\n"


class ButtonNode(ComponentNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        run = run_of(context)
        key = self.key(context)
        with at_line(self.token):
            url = run.slot(destination_url(key, run, context.globals), "u")
        label = " ".join(self.inner(context).split())
        run.ways.append(Way("button", key, run.expand(label), line_of(self.token), run.place))
        return buffer.write(block_mark("button", f"{url}{PART}{label}"))


class ButtonTag(ComponentTag):
    name, end, with_argument, node_class = "button", "endbutton", True, ButtonNode


class LinkNode(ComponentNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        run = run_of(context)
        key = self.key(context)
        with at_line(self.token):
            url = destination_url(key, run, context.globals)
        run.ways.append(Way("link", key, "", line_of(self.token), run.place))
        return buffer.write(run.slot(url, "u"))


class LinkTag(ComponentTag):
    name, block, with_argument, node_class = "link", False, True, LinkNode


class NoteNode(ComponentNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(block_mark("note", self.inner(context)))


class NoteTag(ComponentTag):
    name, end, node_class = "note", "endnote", NoteNode


class ChecklistNode(ComponentNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(block_mark("checklist", self.inner(context)))


class ChecklistTag(ComponentTag):
    name, end, node_class = "checklist", "endchecklist", ChecklistNode


class SnippetNode(ComponentNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        key = self.key(context)
        snippets = run_of(context).snippets
        with at_line(self.token):
            if key not in snippets:
                raise UnknownKey(f"There is no snippet {key!r}.")
        return render_snippet(key, snippets[key], context, buffer)


class SnippetTag(ComponentTag):
    name, block, with_argument, node_class = "snippet", False, True, SnippetNode


class TipNode(ComponentNode):
    """The provider's tip, or else the one for this type of integration."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        snippets = run_of(context).snippets
        keys = [
            f"tip-{context.get([group, name], token=None, default=None)}"
            for group, name in (("provider", "key"), ("integration", "type"))
        ]
        for key in keys:
            if key in snippets:
                inner = context.get_buffer()
                render_snippet(key, snippets[key], context, inner)
                return buffer.write(block_mark("tip", inner.getvalue()))
        with at_line(self.token):
            raise UnknownKey(
                f"There is no tip: neither snippet {keys[0]!r} nor {keys[1]!r} exists."
            )


class TipTag(ComponentTag):
    name, block, node_class = "tip", False, TipNode


def render_snippet(key: str, body: str, context: RenderContext, buffer: TextIO) -> int:
    run = run_of(context)
    run.check_time()
    if run.depth >= SNIPPET_DEPTH:
        raise RenderError("Snippets stand in snippets too deeply; does one include itself?")
    around, run.place = run.place, f"snippets.{key}"
    run.depth += 1
    try:
        with blaming(run.place), rendering_errors():
            template = compile_source("body", body)
            refuse_unknown(template, context.globals, frozenset(context.locals))
            return sum(node.render(context, buffer) for node in template.nodes)
    finally:
        run.depth -= 1
        run.place = around


# --- the three environments ---------------------------------------------------------------
class Line(Environment):
    """For subject and preheader: values print as they are, on one line."""

    loop_iteration_limit = 1_000
    local_namespace_limit = 200_000
    output_stream_limit = OUTPUT_LIMIT
    context_depth_limit = 20
    components: ClassVar[tuple[type[Tag], ...]] = ()

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:  # noqa: ARG002
        known = Environment().filters
        for name in FILTERS:
            self.add_filter(name, bounded(name, known[name]))
        self.add_filter("date", date_filter)
        tags: tuple[type[Tag], ...] = (
            literal.Literal, ValueOutput, illegal.Illegal, if_tag.IfTag, unless_tag.UnlessTag,
            case_tag.CaseTag, PatientForTag, for_tag.BreakTag, for_tag.ContinueTag,
            AssignedTag, CapturedTag, comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag, *self.components,
        )  # fmt: skip
        for tag in tags:
            self.add_tag(tag)


class Address(Line):
    """For a destination's path: values are quoted, so that they cannot leave their place in the URL."""


class Body(Line):
    """For bodies, snippets and the layout: values become slots, and our components are known."""

    components = (ButtonTag, LinkTag, NoteTag, ChecklistTag, SnippetTag, TipTag)


ENVIRONMENTS: dict[str, Environment] = {
    "line": Line(undefined=Missing),
    "address": Address(undefined=Missing),
    "body": Body(undefined=Missing),
}


class Source(BoundTemplate):
    """A parsed template, with the variables that it names."""

    paths: tuple[tuple[str, ...], ...] = ()
    # The line that each of them is first named in.
    lines: Mapping[tuple[str, ...], int] = MappingProxyType({})


for environment in ENVIRONMENTS.values():
    environment.template_class = Source


@lru_cache(maxsize=4096)
def compile_source(kind: str, source: str) -> Source:
    """The template, parsed once. Raises RenderError for what does not parse or is not allowed."""
    if len(source) > VALUE_LIMIT:
        raise RenderError(f"A text of {len(source)} characters is too long; {VALUE_LIMIT} may be.")
    if RESERVED.search(source):
        raise RenderError("The text has private-use characters (U+E000 to U+E00F); remove them.")
    with rendering_errors():
        template = ENVIRONMENTS[kind].from_string(source)
        assert isinstance(template, Source)
        static = RenderContext(template)
        for node in template.nodes:
            refuse_wide_ranges(node, static)
        analysis = template.analyze(include_partials=False)
        lines: dict[tuple[str, ...], int] = {}
        for found in analysis.globals.values():
            for variable in found:
                path = tuple(str(part) for part in variable.segments)
                line = source.count("\n", 0, variable.span.index) + 1
                lines[path] = min(line, lines.get(path, line))
        template.paths, template.lines = tuple(lines), lines
        return template


def refuse_wide_ranges(node: Node, static: RenderContext) -> None:
    """A range of a billion is made into a list before any limit is asked."""

    def visit(expression: Expression) -> None:
        if isinstance(expression, RangeLiteral):
            ends = (getattr(end, "value", None) for end in (expression.start, expression.stop))
            if not all(isinstance(end, int) and 0 <= end <= LIST_LIMIT for end in ends):
                raise RenderError(f"{expression}: a range needs two numbers up to {LIST_LIMIT}.")
        for child in expression.children():
            visit(child)

    with at_line(node.token):
        for expression in node.expressions():
            visit(expression)
    for child in node.children(static, include_partials=False):
        refuse_wide_ranges(child, static)


KNOWN = {tuple(path.split(".")[: length + 1]) for path in VARIABLES for length in range(4)}


def refuse_unknown(template: Source, context: Mapping[str, Any], extra: frozenset[str]) -> None:
    """A misspelt variable would silently be false in a condition, so it is an error everywhere."""
    for path in template.paths:
        if path in KNOWN or path[0] in extra:
            continue
        found: Any = context
        for part in path:
            if not isinstance(found, Mapping) or part not in found:
                unknown = UnknownVariable(f"There is no variable {'.'.join(path)}.")
                unknown.line = template.lines[path]
                raise unknown
            found = found[part]


def located(error: LiquidError) -> RenderError:
    """The same fault with its line. The library's own `context()` fails for one at the very end."""
    kind = NoValue if isinstance(error, UndefinedError) else RenderError
    if not error.token or error.token.start_index < 0:
        return kind(str(error.message))
    line = line_of(error.token)
    words = "".join(error.token.source.splitlines()[line - 1 : line]).strip()
    told = kind(f"{error.message} (line {line}: {words[:120]})")
    told.line = line
    return told


class rendering_errors:
    """Turns whatever a template's author can provoke into RenderError, with one line of explanation."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        if error is None or isinstance(error, RenderError) or not isinstance(error, Exception):
            return
        if isinstance(error, LiquidError):
            raise located(error) from error
        # A template language has more ways to fail than its own exceptions name (recursion, decimal
        # arithmetic, overflow); all of them are the template's fault and none may stop a worker.
        raise RenderError(f"{type(error).__name__}: {error}"[:300]) from error


def render_source(
    kind: str,
    source: str,
    run: Run,
    context: Mapping[str, Any],
    extra: frozenset[str] = frozenset(),
) -> str:
    """The template's text for this context; in a body with marks in place of values."""
    template = compile_source(kind, source)
    refuse_unknown(template, context, extra)
    with rendering_errors():
        liquid_context = RenderContext(template, globals=context)
        liquid_context.tag_namespace["run"] = run
        buffer = liquid_context.get_buffer()
        template.render_with_context(liquid_context, buffer)
        return str(buffer.getvalue())


def destination_url(key: str, run: Run, context: Mapping[str, Any]) -> str:
    """The address of a registered screen. Raises RenderError where there is none of this key."""
    try:
        destination = run.destinations[key]
    except KeyError:
        raise UnknownKey(f"There is no destination {key!r}.") from None
    path = render_source("address", destination["path"], run, context)
    return f"{destination['base_url'].rstrip('/')}/{path.strip().lstrip('/')}"


def variables_of(kind: str, source: str) -> Iterator[str]:
    """Every variable that the text names, dotted. Raises RenderError where it does not parse."""
    for path in compile_source(kind, source).paths:
        yield ".".join(path)


def unknown_variables(kind: str, source: str) -> Iterator[tuple[str, int]]:
    """Every variable in the text that does not exist, with the line. Raises RenderError."""
    template = compile_source(kind, source)
    for path, line in template.lines.items():
        if path not in KNOWN:
            yield ".".join(path), line


def keys_of(source: str) -> Iterator[tuple[str, str, int]]:
    """Every component of a body that names a key literally: component, key, line. Raises RenderError."""
    template = compile_source("body", source)
    static = RenderContext(template)
    waiting: list[Node] = list(template.nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ComponentNode) and isinstance(node.argument, StringLiteral):
            yield node.token.value, node.argument.value, line_of(node.token)
        waiting += node.children(static, include_partials=False)
