"""A model card's Markdown without HTML: tags that have a Markdown word become it, all others go. No Qt.

Cards on the Hub mix Markdown and HTML. Nothing of the HTML may reach the view, and its text must not be lost: tables of
links and centred logos are how publishers begin a card.
"""

import re
from collections.abc import Container
from html.parser import HTMLParser
from urllib.parse import quote

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)", re.MULTILINE)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,5000}>|<!--", re.DOTALL)
_IMAGE = re.compile(r"!\[([^\]\n]{0,300}+)\]\(\s*+<?([^)[\s>]{1,2000}+)>?[^)\n]{0,300}+\)")
_BLANK = re.compile(r"\n{3,}")
_HIDDEN = ("script", "style", "svg", "iframe", "object", "template", "math", "noscript")
_BLOCKS = (
    "p",
    "div",
    "section",
    "table",
    "ul",
    "ol",
    "details",
    "summary",
    "center",
    "figure",
    "blockquote",
    "pre",
)
_KNOWN = (
    "span", "font", "small", "sub", "sup", "u", "s", "del", "ins", "mark", "tbody", "thead", "tfoot", "caption", "col",
    "colgroup", "figcaption", "video", "audio", "source", "picture", "button", "input", "form", "label", "meta", "link",
    "head", "body", "html", "title", "header", "footer", "nav", "main", "article", "aside", "big", "tt", "dl", "dt",
    "dd", "abbr", "cite", "q", "samp", "var", "wbr", "embed", "base", "map", "area", "canvas", "dialog", "frame",
    "frameset",
)  # fmt: skip
LIMIT = 400_000
"""Characters of a card that are shown."""


def plain_card(text: str) -> str:
    """The same card without a single HTML tag outside its code."""
    return _BLANK.sub("\n\n", "".join(_cleaned(text[:LIMIT]))).strip()


def _cleaned(text: str) -> list[str]:
    found, at = [], 0
    while (opening := _FENCE.search(text, at)) is not None:
        found.append(_without_tags(text[at : opening.start()]))
        closing = re.compile(rf"^ {{0,3}}{re.escape(opening[1])}\s*$", re.MULTILINE).search(
            text, opening.end()
        )
        end = closing.end() if closing else len(text)
        found.append(text[opening.start() : end])
        at = end
    return [*found, _without_tags(text[at:])]


def _without_tags(text: str) -> str:
    if not _TAG.search(text):
        return text
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return "".join(reader.out)


def images(text: str) -> list[str]:
    """The addresses of a plain card's pictures, each once, in order."""
    return list(dict.fromkeys(match[2] for match in _IMAGE.finditer(text)))


def without_images(text: str, keep: Container[str] = ()) -> str:
    """Pictures replaced by their descriptions, but for those whose addresses are in ``keep``."""
    return _IMAGE.sub(lambda match: match[0] if match[2] in keep else match[1], text)


class _Reader(HTMLParser):
    """Writes Markdown for what it reads."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.out: list[str] = []
        self._hidden = 0
        self._links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        if self._hidden:
            return
        values = {name: value or "" for name, value in attrs}
        if tag == "img":
            self._picture(values)
        elif tag == "a":
            self._links.append(values.get("href", "").strip())
            self.out.append("[" if self._links[-1] else "")
        else:
            self.out.append(self._opening(tag))

    def _picture(self, values: dict[str, str]) -> None:
        source = quote(values.get("src", "").strip(), safe=":/?&=#%+,;@~!*'$.-_")
        words = re.sub(r"[\[\]\n]", " ", values.get("alt", ""))
        self.out.append(f"![{words}]({source})" if source else words)

    @staticmethod
    def _opening(tag: str) -> str:
        if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            return "\n\n" + "#" * int(tag[1]) + " "
        if tag in _BLOCKS:
            return "\n\n"
        return {
            "br": "  \n", "hr": "\n\n---\n\n", "li": "\n- ", "tr": "\n", "td": " ", "th": " ", "b": "**",
            "strong": "**", "i": "*", "em": "*", "code": "`", "kbd": "`",
        }.get(tag, "" if tag in _KNOWN else f"&lt;{tag}&gt;")  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif not self._hidden and tag == "a" and self._links:
            target = self._links.pop()
            self.out.append(f"]({quote(target, safe=':/?&=#%+,;@~!$._-')})" if target else "")
        elif not self._hidden and (tag in _BLOCKS or tag[:1] == "h"):
            self.out.append("\n\n")
        elif not self._hidden and tag in {"b", "strong", "i", "em", "code", "kbd"}:
            self.out.append(self._opening(tag))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.out.append(data)

    def handle_entityref(self, name: str) -> None:
        # Qt's Markdown turns it into its sign; "&lt;" must not become a tag before that.
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")
