"""Markdown as models write it, as HTML that can do nothing: every text is escaped first, only these tags are made.

Headings, paragraphs, lists (nested, with task boxes), quotes, tables, rules, code; bold, italic, struck, code spans,
links to web pages and mail. Anything else, raw HTML and formulas too, stays the text it is.
"""

import html
import re
from collections.abc import Callable, Iterator

_FENCE = re.compile(r"^ {0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^\n`]*$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*)$")
_RULE = re.compile(r"^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_ITEM = re.compile(r"^([ \t]*)(?:([-*+])|(\d{1,9})[.)])[ \t]+(.*)$")
_TASK = re.compile(r"^\[([ xX])\][ \t]+")
_DIVIDER = re.compile(r"^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_CODE = re.compile(r"(`{1,8})(?!`)(.{1,2000}?)(?<!`)\1(?!`)", re.DOTALL)
_VERBATIM = re.compile(
    rf"{_CODE.pattern}|\$\$.{{1,2000}}?\$\$|\$(?![\s$])[^$\n]{{1,500}}?(?<!\s)\$"
    r"|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]",
    re.DOTALL,
)
"""Code, and formulas as their TeX."""
_LINK = re.compile(r"\[([^\[\]\n]+)\]\(((?:https?://|mailto:)[^\s()<>]+)\)")
_INSIDE = r"(?=\S)([^<]{1,1000}?)(?<=\S)"
"""What stands between marks: no tag that was made already, and no further than a reader would look for the end."""
_MARKS = (
    (re.compile(rf"\*\*{_INSIDE}\*\*"), "strong"),
    (re.compile(rf"(?<!\w)__{_INSIDE}__(?!\w)"), "strong"),
    (re.compile(rf"\*{_INSIDE}\*"), "em"),
    (re.compile(rf"(?<!\w)_{_INSIDE}_(?!\w)"), "em"),
    (re.compile(rf"~~{_INSIDE}~~"), "del"),
)
_DEEPEST = 12
"""Quotes and lists inside each other; what lies deeper is a paragraph."""


def to_html(text: str, depth: int = 0) -> str:
    """The blocks of a text, one after the other."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "".join(_blocks(lines, depth))


def _blocks(lines: list[str], depth: int) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        if not line.strip():
            at += 1
        elif fence := _FENCE.match(line):
            end = _fence_end(lines, at, fence[1])
            yield _code(lines[at + 1 : end], fence[2])
            at = end + 1
        elif heading := _HEADING.match(line):
            level = min(6, len(heading[1]) + 2)  # the page's title and each message have theirs
            yield f"<h{level}>{inline(heading[2].strip().rstrip('#').strip())}</h{level}>"
            at += 1
        elif _RULE.match(line):
            yield "<hr>"
            at += 1
        elif line.lstrip().startswith(">") and depth < _DEEPEST:
            end = _while(lines, at, lambda found: found.lstrip().startswith(">"))
            inside = [re.sub(r"^\s*> ?", "", found) for found in lines[at:end]]
            yield f"<blockquote>{''.join(_blocks(inside, depth + 1))}</blockquote>"
            at = end
        elif _ITEM.match(line) and depth < _DEEPEST:
            end = _list_end(lines, at)
            yield _list(lines[at:end], depth)
            at = end
        elif at + 1 < len(lines) and "|" in line and _DIVIDER.match(lines[at + 1]):
            end = _while(lines, at + 2, lambda found: "|" in found)  # a divider of one column may have none
            yield _table(lines[at:end])
            at = end
        else:
            end = _paragraph_end(lines, at)
            yield f"<p>{inline(chr(10).join(lines[at:end]).strip())}</p>"
            at = end


def _while(lines: list[str], at: int, holds: Callable[[str], bool]) -> int:
    end = at
    while end < len(lines) and holds(lines[end]):
        end += 1
    return end


def _fence_end(lines: list[str], at: int, fence: str) -> int:
    for end in range(at + 1, len(lines)):
        found = lines[end].strip()
        if found.startswith(fence) and not found.strip(fence[0]):
            return end
    return len(lines)


def _paragraph_end(lines: list[str], at: int) -> int:
    for end in range(at + 1, len(lines)):
        line = lines[end]
        begins = _FENCE.match(line) or _HEADING.match(line) or _ITEM.match(line)
        if not line.strip() or begins or line.lstrip().startswith(">"):
            return end
    return len(lines)


def _code(lines: list[str], language: str) -> str:
    name = f' class="language-{html.escape(language)}"' if language else ""
    return f"<pre><code{name}>{html.escape(chr(10).join(lines))}\n</code></pre>"


# ---------------------------------------------------------------------------------------------- lists


def _indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())


def _list_end(lines: list[str], at: int) -> int:
    """After the last line that belongs to the list: an item, or what is set back below one."""
    first = _indent(lines[at])
    for end in range(at + 1, len(lines)):
        line = lines[end]
        if line.strip() and _indent(line) <= first and not _ITEM.match(line) and not lines[end - 1].strip():
            return end
        if line.strip() and _indent(line) <= first and (_HEADING.match(line) or _FENCE.match(line)):
            return end
    return len(lines)


def _list(lines: list[str], depth: int) -> str:
    first = _ITEM.match(lines[0])
    assert first is not None
    top, ordered = _indent(lines[0]), first[3] is not None
    items: list[list[str]] = []
    for line in lines:
        line = line.expandtabs(4) if line[:1] == "\t" else line  # noqa: PLW2901 - the same line
        found = _ITEM.match(line)
        if found and len(found[1]) <= top + 1:
            items.append([found[4]])
        else:
            items[-1].append(line[min(_indent(line), top + 2) :] if line.strip() else "")
    start = f' start="{int(first[3])}"' if ordered and first[3] != "1" else ""
    tag = "ol" if ordered else "ul"
    return f"<{tag}{start}>{''.join(_item(item, depth) for item in items)}</{tag}>"


def _item(lines: list[str], depth: int) -> str:
    box = ""
    if task := _TASK.match(lines[0]):
        box = "&#9745; " if task[1] != " " else "&#9744; "
        lines = [lines[0][task.end() :], *lines[1:]]
    inside = "".join(_blocks(lines, depth + 1))
    if inside.count("<p>") == 1 and inside.startswith("<p>"):  # one line needs no paragraph of its own
        inside = inside.replace("<p>", "", 1).replace("</p>", "", 1)
    return f"<li>{box}{inside}</li>"


# ---------------------------------------------------------------------------------------------- tables


def _table(lines: list[str]) -> str:
    aligns = [_align(cell) for cell in _cells(lines[1])]
    head = _row(_cells(lines[0]), aligns, "th")
    body = "".join(_row(_cells(line), aligns, "td") for line in lines[2:])
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _cells(line: str) -> list[str]:
    inside = line.strip().removeprefix("|")
    inside = inside[:-1] if inside.endswith("|") and not inside.endswith("\\|") else inside
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inside)]


def _align(cell: str) -> str:
    if cell.endswith(":"):
        return "center" if cell.startswith(":") else "right"
    return ""


def _row(cells: list[str], aligns: list[str], tag: str) -> str:
    made = []
    for at, align in enumerate(aligns):
        style = f' style="text-align: {align}"' if align else ""
        made.append(f"<{tag}{style}>{inline(cells[at]) if at < len(cells) else ''}</{tag}>")
    return f"<tr>{''.join(made)}</tr>"


# ---------------------------------------------------------------------------------------------- inside a line


def inline(text: str) -> str:
    """Code and formulas as they are, marks and links in what stands between them."""
    parts, end = [], 0
    for found in _VERBATIM.finditer(text):
        parts.append(_marked(text[end : found.start()]))
        whole = html.escape(found[0])
        parts.append(f"<code>{html.escape(found[2].strip())}</code>" if found[1] else whole)
        end = found.end()
    parts.append(_marked(text[end:]))
    return "".join(parts)


def _marked(text: str) -> str:
    parts, end = [], 0
    for link in _LINK.finditer(text):
        parts.append(_emphasized(text[end : link.start()]))
        address = html.escape(link[2])
        parts.append(f'<a href="{address}" rel="noreferrer noopener">{_emphasized(link[1])}</a>')
        end = link.end()
    parts.append(_emphasized(text[end:]))
    return "".join(parts)


def _emphasized(text: str) -> str:
    found = html.escape(text)
    for pattern, tag in _MARKS:
        found = pattern.sub(rf"<{tag}>\1</{tag}>", found)
    return found.replace("  \n", "<br>\n")
