"""Regular expressions of other languages, and their equal in JavaScript's Unicode mode; checked with Node."""

import pytest

from agent.json_schema.errors import SchemaRefused
from agent.json_schema.patterns import to_javascript


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d{2}-\d{2}$",
        r"^(?:a|b)*?(?<name>x)\k<name>\1$",
        r"^[^\]\-a-z\d]+[\b]\/\.\u0041\u{1F600}\x41\cA$",
        r"^(?=a)(?!b)(?<=c)(?<!d)\b\B$",
        r"^\p{L}+\P{Script=Latin}$",
        r"^([+]?(?:\d*\.)?\d+)$",
        "[]|[^]",
    ],
)
def test_what_javascript_has_stays_as_it_is(pattern: str) -> None:
    assert to_javascript(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"\A\w+\Z", r"^\w+$"),
        (r"(?P<n>a)(?P=n)", r"(?<n>a)\k<n>"),
        (r"[\w-\.]", r"[\w\-\.]"),
        (r"[a\-z_-]", r"[a\-z_\-]"),
        (r"\-\_\@\:\#\ ", "-_@:# "),
        ("a{,3}}]", r"a\{,3\}\}\]"),
        ("x{a}", r"x\{a\}"),
    ],
)
def test_what_other_languages_have_is_written_anew(pattern: str, written: str) -> None:
    assert to_javascript(pattern) == written


@pytest.mark.parametrize(
    "pattern",
    [
        "(?i)a", "(?x: a)", "(?>a)", "a++", "*a", "(?=a)*", "^*", "(a", "a)", "[a", "[z-a]", "a{3,1}",
        "\\", r"\q", r"\p{Nope}", r"\2(a)", r"\k<n>", "(?<n>a)(?<n>b)", "(?#x)", r"\u00", r"\u{110000}", r"\01",
    ],
)  # fmt: skip
def test_what_has_no_equal_is_refused(pattern: str) -> None:
    with pytest.raises(SchemaRefused, match="'pattern'"):
        to_javascript(pattern)
