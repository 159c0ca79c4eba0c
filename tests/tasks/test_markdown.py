"""What agents write is Markdown to a person, and neither a link, nor a picture, nor HTML to a browser."""

import pytest
from markdown_it import MarkdownIt

from tasks.markdown import inert, quoted

WILD = [
    "![x](http://127.0.0.1:9/beacon.png)",
    "[sign in](http://127.0.0.1:9/)",
    "[sign in][1]\n\n[1]: http://127.0.0.1:9/",
    "[1]: http://127.0.0.1:9/\n\n![1]",
    "<http://127.0.0.1:9/>",
    "<img src=http://127.0.0.1:9/b.gif onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- \n```\n[x](http://127.0.0.1:9/)\n``` -->",
    r"\[x](http://127.0.0.1:9/)",
    r"\\[x](http://127.0.0.1:9/)",
    "`a\\`[x](http://127.0.0.1:9/)",
    "```\n````\n[x](http://127.0.0.1:9/)\n```\n[x](http://127.0.0.1:9/)",
    "~~~\n```\n~~~\n[x](http://127.0.0.1:9/)",
    "- a\n  ```\n- [x](http://127.0.0.1:9/)\n  ```\n[x](http://127.0.0.1:9/)",
    "> ```\n[x](http://127.0.0.1:9/)\n> ```\n![x](http://127.0.0.1:9/)",
    "    ```\n[x](http://127.0.0.1:9/)\n    ```\n<b>",
    "a\r```\r[x](http://127.0.0.1:9/)\u2028```\u2028<b>",
    "| a |\n|---|\n| [x](http://127.0.0.1:9/) <b> |",
]


@pytest.mark.parametrize("text", WILD)
@pytest.mark.parametrize("before", ["", "text\n", "```\n", "- list\n\n", "<div>\n"])
@pytest.mark.parametrize("prefix", ["", "> "])
def test_nothing_links_loads_or_is_html(text: str, before: str, prefix: str) -> None:
    shown = "\n".join(prefix + line for line in inert(before + text).split("\n"))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(shown)
    assert not any(tag in html for tag in ("<a ", "<img", "<script", "<b>", "<div", "<!--")), html


def test_what_formats_still_does() -> None:
    html = MarkdownIt().render(inert("# Done\n\n- **two** of `three`\n\n```python\na[0] < 1\n```\nand [1]"))
    assert "<h1>Done</h1>" in html
    assert "<strong>two</strong> of <code>three</code>" in html
    assert "a[0] &lt; 1\n</code>" in html
    assert "<p>and [1]</p>" in html


def test_a_code_block_cannot_be_ended_from_within() -> None:
    html = MarkdownIt().render(quoted("a\n```\n````\n<b>"))
    assert html.count("<pre>") == 1
    assert "<b>" not in html
