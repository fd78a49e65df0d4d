"""Markdown as HTML for exports: what models write is formatted, and nothing that they write becomes a tag."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.chat.markdown_html import to_html

KNOWN = {
    "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "table", "thead", "tbody", "tr", "th",
    "td", "strong", "em", "del", "a", "hr", "br",
}  # fmt: skip


class Checker(HTMLParser):
    """Fails on a tag or an attribute that is not ours, and on one that is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN
        assert {name for name, _ in attrs} <= {"class", "style", "href", "rel", "start"}
        address = dict(attrs).get("href") or "https://"
        assert address.startswith(("https://", "http://", "mailto:"))
        if tag not in {"hr", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said += data


def checked(text: str) -> str:
    page = to_html(text)
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return page


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("# One\n\ntwo **three** *four*", "<h3>One</h3><p>two <strong>three</strong> <em>four</em></p>"),
        ("~~five~~ costs $5 and $6", "<p><del>five</del> costs $5 and $6</p>"),
        ("$f*g*h$ and *i*", "<p>$f*g*h$ and <em>i</em></p>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("3. three\n4. four", '<ol start="3"><li>three</li><li>four</li></ol>'),
        ("- [x] done\n- [ ] not", "<ul><li>&#9745; done</li><li>&#9744; not</li></ul>"),
        ("> a\n>\n> > b", "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote>"),
        ("```c++\na\t<b>\n```", '<pre><code class="language-c++">a\t&lt;b&gt;\n</code></pre>'),
        ("```\nnot closed", "<pre><code>not closed\n</code></pre>"),
        ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
        ("`**not bold**` __init__ a_b_c", "<p><code>**not bold**</code> <strong>init</strong> a_b_c</p>"),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>"),
        ("$x_1 < y_2$", "<p>$x_1 &lt; y_2$</p>"),
    ],
)  # fmt: skip
def test_what_models_write_is_formatted(text: str, page: str) -> None:
    assert checked(text) == page


def test_a_table_has_its_columns_aligned() -> None:
    page = checked("| a | b |\n|---|--:|\n| 1 | `x\\|y` |\n| 2 |")
    assert page.count("<tr>") == 3
    assert '<td style="text-align: right"><code>x|y</code></td>' in page
    assert '<td>2</td><td style="text-align: right"></td>' in page


def test_a_link_opens_without_saying_where_from() -> None:
    page = checked('[**A** "b"](https://e.org/?a=1&b="2")')
    assert 'href="https://e.org/?a=1&amp;b=&quot;2&quot;"' in page
    assert "<strong>A</strong> &quot;b&quot;</a>" in page


@given(st.text(alphabet="ab \n\t*_~`#>-+|:[](){}<>&\"'1.)\\$xX/=h", max_size=200))
@example("|\n-")
def test_any_text_gives_sound_tags(text: str) -> None:
    checked(text)


def test_long_runs_of_marks_take_no_time_to_speak_of() -> None:
    for mark in ("**a ", "`", "# " + " " * 50, "> ", "- ", "[a](", "|-", "~~b ", "_c "):
        checked(mark * 5000)
