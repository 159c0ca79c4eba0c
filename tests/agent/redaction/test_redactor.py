import argparse
import asyncio.base_events
import base64
import json
import logging.handlers
import random
import re
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

from agent.redaction.redactor import Redactor
from agent.system.text import printable
from tasks.markdown import escaped, quoted

# Put together here, so that nothing that scans this file takes them for real ones.
KEY = "sk-ant-" + "api03-" + "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zAbCdEf2hIjKl5"
PASSPHRASE = "correct horse battery staple"
DATABASE_URL = "postgresql://" + "app:pa55w0rd@localhost:5432/app"
REDACTOR = Redactor([KEY, PASSPHRASE, DATABASE_URL, "hunter22", "x7Kq", "true", ""])

BODY = "\n".join(["MIIEpAIBAAKCAQEA7bq8" + "x1" * 22] * 4)
PEM = "-----BEGIN RSA PRIVATE " + f"KEY-----\n{BODY}\nab==\n-----END RSA PRIVATE " + "KEY-----"
HEADED = PEM.replace("\nMII", "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,2AF2534\n\nMII", 1)
JWT = ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"])

SHAPES = [
    (KEY[:-1], "anthropic-key"),
    ("sk-proj-" + "a1B2" * 10, "openai-key"),
    ("sk-" + "a1B2" * 12, "api-key"),
    ("ghp_" + "a1B2" * 9, "github-token"),
    ("gho_" + "a1B2" * 9, "github-token"),
    ("github_pat_" + "11ABCDEFG0" + "_" + "a1B2" * 14, "github-token"),
    ("glpat-" + "a1B2" * 5, "gitlab-token"),
    ("xoxb-" + "1234567890-abcdefghij", "slack-token"),
    ("AKIA" + "IOSFODNN7EXAMPLE", "aws-key-id"),
    ("AIza" + "Sy" + "a1B2" * 8 + "c", "google-key"),
    ("npm_" + "a1B2" * 9, "npm-token"),
    ("hf_" + "aBcD" * 9, "huggingface-token"),
    ("sk_live_" + "a1B2" * 6, "stripe-key"),
    ("pnu_" + "a1B2" * 9, "prefect-key"),
    ("AGE-SECRET-KEY-1" + "QZ23" * 14, "age-key"),
    (JWT, "jwt"),
    (PEM, "private-key"),
    (HEADED, "private-key"),
    (PEM.replace("\n", "\\n"), "private-key"),
    (HEADED.replace("\n", "\\n"), "private-key"),
]
IN_CONTEXT = [
    ("Authorization: Bearer a1b2c3d4e5f6g7h8i9", "Authorization: Bearer [redacted:bearer-token]"),
    ("authorization: basic dXNlcjpwYXNz", "authorization: basic [redacted:basic-credential]"),
    ("https://me:s3cret@host/x", "https://me:[redacted:password]@host/x"),
    ("redis://:s3cret@host:6379/0", "redis://:[redacted:password]@host:6379/0"),
    ("https://0123456789abcdef0123@host/x", "https://[redacted:token]@host/x"),
    ("aws_secret_access_key = " + "wJal/K7M" * 5, "aws_secret_access_key = [redacted:aws-secret]"),
    ('{"SecretAccessKey": "' + "wJal/K7M" * 5 + '"}', '{"SecretAccessKey": "[redacted:aws-secret]"}'),
    ("x-api-key: a1b2c3d4e5f6g7h8i9", "x-api-key: [redacted:api-key]"),
    ("export DB_PASSWORD='s3cret-enough'", "export DB_PASSWORD='[redacted:secret]'"),
]
ORDINARY = [
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "123e4567-e89b-12d3-a456-426614174000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512-" + base64.b64encode(bytes(range(64))).decode(),
    "a risk-adjusted, task-list-driven approach; the bearer of bad news; disk-0123456789abcdef0123456789abcdef",
    "http://localhost:8080/v1/messages?beta=true and mail me@example.com",
    "git@github.com:org/repo.git and ssh://git@github.com/org/repo",
    "TOKEN=$(cat /run/token) PASSWORD=${PASSWORD} API_KEY=<your-key> SECRET=changeme",
    'token: str = Field(default="") ; input_tokens=12345, password=get_password()',
    "Look for -----BEGIN RSA PRIVATE KEY----- in it. Then tell me whether there is any.",
    "-----BEGIN CERTIFICATE-----\n" + BODY + "\n-----END CERTIFICATE-----",
    "true, truer, truest; hunter2; correct horse",
    "die Prüfsumme, 漢字, 👩‍💻 und ein „Zitat“",
]
BEGINNINGS = [
    "sk-ant-",
    "ghp_",
    "eyJ",
    "://",
    "-----BEGIN ",
    "Bearer ",
    "TOKEN=",
    "AKIA",
    "xoxe.xox",
    KEY[:9],
    KEY[:17],
]


def stream(redactor: Redactor, pieces: list[str]) -> str:
    redacted = redactor.stream()
    return "".join([*map(redacted.feed, pieces), redacted.flush()])


@pytest.mark.parametrize("around", ["{}", "a {} b", '{{"k": "{}"}}', "x={}\n", "({})", "'{}',"])
def test_known_secrets_are_taken_out(around: str) -> None:
    for secret in (KEY, PASSPHRASE, DATABASE_URL, "hunter22"):
        assert REDACTOR.redact(around.format(secret)) == around.format("[redacted]")


@pytest.mark.parametrize("shift", range(4))
def test_known_secrets_are_taken_out_of_what_was_encoded(shift: int) -> None:
    text = "u" * shift + f":{KEY}:rest"
    for encoded in (base64.b64encode(text.encode()), base64.urlsafe_b64encode(text.encode())):
        redacted = REDACTOR.redact(encoded.decode())
        assert "[redacted]" in redacted
        assert len(redacted) < len(encoded) - len(KEY)
    wrapped = base64.encodebytes(text.encode()).decode()
    assert len(REDACTOR.redact(wrapped)) < len(wrapped) - len(KEY)


def test_known_secrets_are_taken_out_in_the_forms_they_travel_in() -> None:
    secret = 'pass"word\\with/ä&=?'
    redactor = Redactor([secret])
    for form in (
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        secret.encode().hex(),
    ):
        assert redactor.redact(f"<{form}>") == "<[redacted]>"


def test_a_known_token_printed_in_two_halves_is_taken_out_of_both_lines() -> None:
    half = len(KEY) // 2
    redacted = REDACTOR.redact(f"first: {KEY[:half]}\nsecond: {KEY[half:]}\n")
    assert redacted == "first: [redacted]\nsecond: [redacted]\n"


def test_words_of_a_passphrase_stay_where_they_mean_nothing() -> None:
    assert REDACTOR.redact("the correct horse ate hay") == "the correct horse ate hay"


@pytest.mark.parametrize(("secret", "kind"), SHAPES)
def test_what_looks_like_a_secret_is_taken_out_with_its_kind(secret: str, kind: str) -> None:
    assert Redactor().redact(f"a {secret}, b") == f"a [redacted:{kind}], b"
    assert Redactor().redact(secret) == f"[redacted:{kind}]"


@pytest.mark.parametrize(("text", "redacted"), IN_CONTEXT)
def test_what_stands_around_a_secret_stays(text: str, redacted: str) -> None:
    assert Redactor().redact(f"{text} and more") == f"{redacted} and more"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert REDACTOR.redact(text) == text


@pytest.mark.parametrize("module", [argparse, asyncio.base_events, logging.handlers, subprocess, random])
def test_ordinary_code_stays_as_it_is(module: object) -> None:
    code = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    assert REDACTOR.redact(code) == code


def test_however_a_text_is_cut_the_outcome_is_the_same() -> None:
    chance = random.Random(7)
    secrets = [
        KEY,
        PASSPHRASE,
        DATABASE_URL,
        "x7Kq",
        *(secret for secret, _ in SHAPES),
        *(text for text, _ in IN_CONTEXT),
    ]
    for _ in range(300):
        parts = [chance.choice(chance.choice([secrets, ORDINARY, BEGINNINGS])) for _ in range(chance.randint(1, 6))]
        parts = [part[: chance.randint(1, len(part))] if chance.random() < 0.3 else part for part in parts]
        text = chance.choice(["", " ", "\n", "@", "."]).join(parts)
        pieces, at = [], 0
        while at < len(text):
            size = chance.choice([1, 1, 2, 3, 7, 20, 200])
            pieces.append(text[at : at + size])
            at += size
        whole = REDACTOR.redact(text)
        assert stream(REDACTOR, pieces) == whole
        assert KEY not in whole


@pytest.mark.parametrize("secret", [KEY, PASSPHRASE, *(secret for secret, _ in SHAPES)])
def test_no_piece_of_a_secret_leaves_before_it_is_whole(secret: str) -> None:
    redacted = REDACTOR.stream()
    shown = "".join([redacted.feed(character) for character in f"a {secret}"])
    assert shown.startswith("a ")
    assert "[redacted" in shown + redacted.flush()
    assert secret[:8] not in shown


def test_of_ordinary_text_only_a_few_characters_wait() -> None:
    redacted, given, shown = REDACTOR.stream(), 0, 0
    for piece in re.split(
        "(?<= )", "The agents run with all permissions on text that strangers write; assume one is hostile."
    ):
        given += len(piece)
        shown += len(redacted.feed(piece))
        assert given - shown <= 3


HOSTILE = [
    "sk-",
    "eyJ",
    "eyJaaaaaaaaaa.",
    "://",
    "://a:",
    "-----BEGIN ",
    PEM[:32],
    "bearer ",
    "TOKEN=",
    'TOKEN="aaaaaaa',
]
HOSTILE += [KEY, KEY[:15], "a", "a ", "\x1b[", "\x1b]", "`", "AKIA", "aws_secret_access_key    ", "0123456789abcdef"]


@pytest.mark.parametrize("unit", HOSTILE)
def test_the_time_it_takes_grows_with_the_length_and_no_faster(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        printable(REDACTOR.redact(text))
        quoted(text)
        return time.process_time() - start

    small = min(seconds(5_000) for _ in range(3))
    assert min(seconds(50_000) for _ in range(2)) < 40 * max(small, 0.002)


def test_five_megabytes_are_a_matter_of_seconds() -> None:
    text = "A log line with a commit 9fceb02d0ae598e95dc970b74767f19372d61af8 and a path /usr/lib/x.so\n" * 55_000
    start = time.process_time()
    assert REDACTOR.redact(text) == text
    assert time.process_time() - start < 15


def test_json_is_redacted_in_its_strings_and_keys() -> None:
    value = {"a": [f"x {KEY}", 1, None, True], KEY: {"b": "hunter22"}}
    redacted = {"a": ["x [redacted]", 1, None, True], "[redacted]": {"b": "[redacted]"}}
    assert REDACTOR.redact_json(value) == redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07here", "red here"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x08c\x7fd\x9be", "abcd"),
        ("user\u202egnp.exe \u2066x\u2069 \u200bz\ufeff", "usergnp.exe x z"),
        ("half \ud800 pair", "half  pair"),
        ("tab\tline\nnext\r\nlast\rover", "tab\tline\nnext\nlast\nover"),
        ("äöü 漢字 👩‍💻 „so“", "äöü 漢字 👩‍💻 „so“"),
        ("\x1b]never ended\nnext", "\nnext"),
    ],
)
def test_nothing_that_acts_on_a_terminal_is_printed(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_nobody_writes_a_second_line_into_a_log() -> None:
    assert printable("ok\r\nERROR forged\u2028x\x0by", one_line=True) == "ok⏎ERROR forged⏎x⏎y"


def test_a_code_block_cannot_be_ended_from_within() -> None:
    block = quoted("a\n````\n![x](http://evil)\n<script>")
    fence, *lines, last = block.split("\n")
    assert (fence, last) == ("`````text", "`````")
    assert lines == ["a", "````", "![x](http://evil)", "<script>"]


def test_markup_in_a_line_has_no_effect() -> None:
    assert escaped("[x](y) <b> `c`\n# d") == r"\[x\]\(y\) \<b\> \`c\`⏎\# d"
