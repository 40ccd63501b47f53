"""The building blocks of a mail's body, as the editor offers them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Component:
    """One block: what it is for, and what stands in the body. `…` marks where to go on typing."""

    label: str
    what: str
    source: str


COMPONENTS = (
    Component(
        "Button",
        "The one thing to do, leading to a setup screen named by its key.",
        '{% button "…" %}Create the key{% endbutton %}',
    ),
    Component(
        "Checklist",
        "What to go through, one point a line.",
        "{% checklist %}\n- …\n- \n{% endchecklist %}",
    ),
    Component("Note", "Something to know, set apart.", "{% note %}…{% endnote %}"),
    Component(
        "Provider tip",
        "The shared text for the reader's provider, or else for the type of integration.",
        "{% tip %}",
    ),
    Component("Code", "Commands and keys, exactly as they are typed.", "```\n…\n```"),
    Component("Link", "A setup screen within a sentence.", '[…]({% link "" %})'),
    Component("Shared text", "A text that several e-mails use.", '{% snippet "…" %}'),
    Component(
        "Only if",
        "Words for some readers only.",
        "{% if helper.name %}…{% endif %}",
    ),
)

# Every tag that a body may use, for completion.
TAGS = {
    "button": "A button to a setup screen, up to endbutton",
    "endbutton": "The button's label ends here",
    "link": "The address of a setup screen",
    "checklist": "A list to tick off, up to endchecklist",
    "endchecklist": "The checklist ends here",
    "note": "Something set apart, up to endnote",
    "endnote": "The note ends here",
    "tip": "The tip for the reader's provider",
    "snippet": "A shared text",
    "if": "Words for some readers, up to endif",
    "elsif": "Otherwise, if",
    "else": "For all other readers",
    "endif": "The condition ends here",
    "unless": "Words for all but some, up to endunless",
    "endunless": "The condition ends here",
    "case": "Words by value, with when, up to endcase",
    "when": "If the value is this",
    "endcase": "The choice ends here",
    "assign": "Name a value",
    "capture": "Name a piece of text, up to endcapture",
    "endcapture": "The piece of text ends here",
    "for": "Repeat, up to endfor",
    "endfor": "The repetition ends here",
    "comment": "Words for colleagues, up to endcomment",
    "endcomment": "The comment ends here",
}
