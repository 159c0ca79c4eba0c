"""Regular expressions for tokens, keys and passwords."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.redaction.randomness import (
    is_basic_credential,
    is_label_value,
    is_password_value,
    is_token_body,
    is_url_password,
)

WORD = "[A-Za-z0-9_-]"
ALNUM = "[A-Za-z0-9]"
BASE64 = "[A-Za-z0-9/+=]"
BEARER = "[A-Za-z0-9._~+/=-]"
VALUE = r"[^\s\"'`$<>(){}\[\],;|&\\]"
USERINFO = r"[^\s\"'`<>(){}\[\],;|/?#@\\]"
NAME = r"[^\s\"'`<>(){}\[\],;|/?#@:\\]"
BLANK = "[ \t]"
QUOTE = "[\"']"


class Step(NamedTuple):
    """So many characters of a class; as many as there are, and none given back."""

    of: str
    least: int
    most: int


class Shape:
    """One kind of secret: literal beginnings, steps to be certain, and what else belongs to it then.

    What is certain is decided after `reach` characters at most, so a stream never waits for more. `shown` steps stay
    in sight, with the beginning; without it nothing does. A step that has to hold a digit does so in `digit`
    characters. `judge` gets what stays in sight and the rest, as far as that is certain, and is True for a secret.
    """

    def __init__(
        self,
        kind: str,
        begins: Sequence[str],
        steps: Sequence[Step],
        *,
        tail: str = "",
        shown: int | None = None,
        before: str = ALNUM,
        ahead: str = "",
        digit: bool = False,
        judge: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.kind = kind
        self.judge = judge
        self.grows = tail == "" or steps[-1].most > steps[-1].least
        self.begins = tuple(begins)
        self.tail = re.compile(f"{tail}*+") if tail else None
        start = "|".join(re.escape(begin) for begin in begins)
        parts = [_greedy(step) for step in steps]
        if digit:
            parts[-1] = f"(?={steps[-1].of}{{0,{DIGIT_WITHIN - 1}}}?[0-9]){parts[-1]}"
        visible = f"(?:{start}){''.join(parts[:shown])}" if shown is not None else ""
        hidden = "".join(parts[shown:]) if shown is not None else f"(?:{start}){''.join(parts)}"
        boundary = f"(?<!{before})" if before else ""
        self.whole = re.compile(f"{boundary}({visible})({hidden}){ahead}")
        last = Step(steps[-1].of, 0, max(steps[-1].most, DIGIT_WITHIN)) if digit else steps[-1]
        self.reach = max(map(len, begins)) + sum(step.most for step in [*steps[:-1], last])
        self.partial = re.compile(f"{boundary}(?:{start}){_nested([*steps[:-1], last])}\\Z")


DIGIT_WITHIN = 64


def _greedy(step: Step) -> str:
    return f"{step.of}{{{step.least},{step.most}}}+"


def _nested(steps: Sequence[Step]) -> str:
    """Return a pattern of as many steps as the text has come to, the last of them not yet complete."""
    if not steps:
        return ""
    first, rest = steps[0], _nested(steps[1:])
    complete = f"(?:{_greedy(first)}{rest})" if rest else _greedy(first)
    return f"(?:{complete}|{first.of}{{0,{first.most}}}+)"


def _token(kind: str, begins: Sequence[str], of: str, least: int) -> Shape:
    """Return the shape of a token that is known by its beginning."""

    def is_random(_: str, hidden: str) -> bool:
        return is_token_body(hidden[max(len(begin) for begin in begins if hidden.startswith(begin)) :])

    return Shape(kind, begins, [Step(of, least, least)], tail=of, judge=is_random)


def _of_value(judge: Callable[[str], bool]) -> Callable[[str, str], bool]:
    return lambda _, hidden: judge(hidden)


def _cased(*names: str) -> list[str]:
    return sorted({form for name in names for form in (name, name.lower(), name.upper(), name.title())})


SLACK = ["xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-", "xoxe.xoxp-", "xoxe.xoxb-"]
GITLAB = [f"gl{kind}-" for kind in ("pat", "ptt", "rt", "dt", "cbt", "ft", "soat", "agent", "imt", "oas")]
STRIPE = [f"{kind}_{mode}_" for kind in ("sk", "rk") for mode in ("live", "test")] + ["whsec_"]
LABELS = ["TOKEN=", "SECRET=", "API_KEY=", "APIKEY=", "ACCESS_KEY=", "PRIVATE_KEY="]
PASSWORD_LABELS = ["PASSWORD=", "PASSWD=", "PASSPHRASE="]
LONGEST_VALUE = 512
"""So much of a value is looked at; what is longer is no word."""
AWS = [*_cased("aws_secret_access_key", "aws_session_token"), "SecretAccessKey", "SessionToken"]
LABEL_SIGN = [Step(QUOTE, 0, 1), Step(BLANK, 0, 4), Step("[=:]", 1, 1), Step(BLANK, 0, 4), Step(QUOTE, 0, 1)]

# A mark alone is no key: text about keys goes on with words. In JSON, line ends are written out.
GAP = r"(?:\s|\\[rnt])"
HEADER = r"[A-Za-z-]{3,20}: [^\n\\\"']{0,100}+"
HEADER_PART = r"[A-Za-z-]{1,20}+(?::(?: [^\n\\\"']{0,100}+)?)?"
# atomic groups: before Python 3.11.5 a possessive repetition of what can itself backtrack misses matches (gh-106052)
KEY_HEAD = f"-----(?>{GAP}{{0,8}})(?>(?:{HEADER}(?>{GAP}{{1,8}})){{0,6}})"
PRIVATE_KEY = Shape("private-key", ["-----BEGIN "], [Step("[A-Z0-9 ]", 0, 96), Step("-", 5, 1000)], before="")
PRIVATE_KEY.whole = re.compile(
    f"()(-----BEGIN (?:[A-Z0-9]{{1,16}} ){{0,3}}PRIVATE KEY(?: BLOCK)?{KEY_HEAD}[A-Za-z0-9+/]{{24}})"
)
PRIVATE_KEY.partial = re.compile(
    f"-----BEGIN [A-Z0-9 ]{{0,96}}+(?:-{{0,5}}|{KEY_HEAD}(?:[A-Za-z0-9+/]{{0,24}}|{HEADER_PART}\\\\?|\\\\))\\Z"
)
PRIVATE_KEY_BODY = re.compile(r"[A-Za-z0-9+/=\s\\\"'-]*+")
PRIVATE_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,96}-----")
PRIVATE_KEY_LENGTH = 32_768

SHAPES = (
    PRIVATE_KEY,
    _token("anthropic-key", ["sk-ant-"], WORD, 16),
    _token("openai-key", ["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-v1-"], WORD, 24),
    _token("api-key", ["sk-"], ALNUM, 32),
    _token("github-token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], ALNUM, 30),
    _token("github-token", ["github_pat_"], "[A-Za-z0-9_]", 22),
    _token("gitlab-token", GITLAB, "[A-Za-z0-9_.-]", 20),
    _token("slack-token", SLACK, "[A-Za-z0-9-]", 10),
    _token("slack-webhook", ["hooks.slack.com/services/"], "[A-Za-z0-9/]", 24),
    _token("aws-key-id", ["AKIA", "ASIA"], "[A-Z0-9]", 16),
    Shape("aws-secret", AWS, [*LABEL_SIGN, Step(BASE64, 40, 40)], tail=BASE64, shown=5, before=""),
    _token("google-key", ["AIza"], WORD, 35),
    _token("google-token", ["ya29.", "GOCSPX-"], WORD, 24),
    _token("npm-token", ["npm_"], ALNUM, 36),
    _token("pypi-token", ["pypi-AgE"], WORD, 40),
    _token("huggingface-token", ["hf_"], ALNUM, 30),
    _token("digitalocean-token", ["dop_v1_", "doo_v1_", "dor_v1_"], "[a-f0-9]", 40),
    _token("databricks-token", ["dapi"], "[a-f0-9]", 32),
    _token("sendgrid-key", ["SG."], "[A-Za-z0-9_.-]", 40),
    _token("stripe-key", STRIPE, ALNUM, 20),
    _token("shopify-token", ["shpat_", "shpca_", "shppa_", "shpss_"], "[a-fA-F0-9]", 32),
    _token("vault-token", ["hvs.", "hvb.", "hvr."], WORD, 24),
    _token("prefect-key", ["pnu_", "pnb_"], ALNUM, 30),
    _token("linear-key", ["lin_api_"], ALNUM, 32),
    _token("age-key", ["AGE-SECRET-KEY-1"], "[0-9A-Z]", 40),
    Shape(
        "jwt",
        ["eyJ"],
        [Step(WORD, 8, 1024), Step(r"\.", 1, 1), Step("e", 1, 1), Step("y", 1, 1), Step("J", 1, 1), Step(WORD, 4, 4)],
        tail="[A-Za-z0-9_.-]",
        before="[A-Za-z0-9_-]",
    ),
    Shape(
        "bearer-token",
        _cased("bearer"),
        [Step(BLANK, 1, 4), Step(BEARER, 16, LONGEST_VALUE)],
        tail=BEARER,
        shown=1,
        digit=True,
        judge=_of_value(is_label_value),
    ),
    Shape(
        "basic-credential",
        _cased("authorization: basic "),
        [Step(BASE64, 8, LONGEST_VALUE)],
        tail=BASE64,
        shown=0,
        judge=_of_value(is_basic_credential),
    ),
    Shape(
        "api-key",
        [*_cased("x-api-key"), "X-API-Key"],
        [*LABEL_SIGN, Step(BEARER, 16, LONGEST_VALUE)],
        tail=BEARER,
        shown=5,
        digit=True,
        judge=_of_value(is_label_value),
    ),
    Shape(
        "password",
        ["://"],
        [Step(NAME, 0, 256), Step(":", 1, 1), Step(USERINFO, 1, 512)],
        shown=2,
        before="",
        ahead="(?=@)",
        judge=is_url_password,
    ),
    Shape("token", ["://"], [Step(WORD, 20, 256)], shown=0, before="", ahead="(?=@)"),
    *(
        Shape(
            "secret",
            labels,
            [Step(QUOTE, 0, 1), Step(VALUE, 8, LONGEST_VALUE)],
            tail=VALUE,
            shown=1,
            before="",
            digit=True,
            judge=_of_value(judge),
        )
        for labels, judge in ((LABELS, is_label_value), (PASSWORD_LABELS, is_password_value))
    ),
)
