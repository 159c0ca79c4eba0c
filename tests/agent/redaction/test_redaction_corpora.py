"""Two corpora: ordinary texts that redaction must leave alone, and secrets that it must catch in all their forms."""

import base64
import json
import os
import random
import string
import sysconfig
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.redaction.known_values import known_secrets
from agent.redaction.redactor import Redactor
from agent.redaction.secret_values import file_secrets, is_secret_name
from agent.settings import AgentSettings
from deployments.settings import HostSettings, host_secrets

ROOT = Path(__file__).parents[3]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))

# What a machine has in secret variables without being secret.
USUAL = {
    "GOOGLE_APPLICATION_CREDENTIALS": "/home/deploy1/projects/infra/gcp.json",
    "POSTGRES_PASSWORD": "postgres",
    "DB_PASSWORD": "password",
    "MYSQL_PASSWORD": "root",
    "TOKEN_CHECK": "true",
    "AUTH_TOKEN_URL": "https://auth.example.com/oauth2/token",
    "MAX_TOKENS": "4096",
    "SECRET_NAME": "production-database",
    "SORT_KEY": "created_at",
    "DATABASE_URL": "sqlite:////var/lib/app/state.db",
    "KEY": "id",
    "PWD": "/home/deploy1/projects/infra",
}
ORDINARY = Redactor(known_secrets(AgentSettings(), USUAL))

EVERYDAY = [
    "postgresql://postgres:postgres@db:5432/app",
    "postgres://app:app@db/shop",
    '"postgresql://%s:%s@%s/%s" % (user, password, host, name)',
    "https://user:password@example.com/ and http://user:pass@host:8080/",
    "redis://default:redis@localhost:6379/0, amqp://guest:guest@rabbit:5672//",
    "const API_KEY = process.env.V1_API_KEY",
    "const API_KEY=process.env.V1_API_KEY",
    "TOKEN = base64.urlsafe_b64encode(os.urandom(32))",
    "TOKEN=base64.urlsafe_b64encode(os.urandom(32))",
    "SECRET = var.secret_name",
    "SECRET=var.secret_name1",
    "MAX_TOKEN = 4096",
    "MAX_TOKEN=4096000000",
    "`Authorization: Basic credentials`",
    "Authorization: Bearer your_token_here_12345",
    "x-api-key: your_api_key_here_123",
    "PASSWORD=/run/secrets/db_password_1",
    "PASSWORD=changeme123 API_KEY=YOUR_API_KEY_1",
    "PRIVATE_KEY=/etc/ssl/private/key1.pem",
    "I changed /home/deploy1/projects/shop/src/app.py",
    "Start postgres with `docker run postgres:16`, as root, with the password from the vault",
    "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, sk-ant-your-key-goes-here, xoxb-your-token-here",
    "git clone https://x-access-token:TOKEN@github.com/o/r",
    "true, 4096, created_at, production-database, id",
]


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_text_stays_as_it_is(text: str) -> None:
    assert ORDINARY.redact(text) == text
    assert ORDINARY.redact_json({"dsn": text}) == {"dsn": text}


def texts(every: int) -> Iterator[Path]:
    """Sources of the standard library, and all our own texts but those about redaction itself."""
    library = [path for path in sorted(STANDARD_LIBRARY.rglob("*.py")) if "site-packages" not in path.parts]
    own = [
        path
        for folder in ("agent", "api", "cli", "deployments", "docs", "tasks")
        for path in sorted((ROOT / folder).rglob("*.*"))
    ]
    yield from library[::every]
    yield from (path for path in own if path.suffix in (".py", ".md") and "redact" not in path.as_posix())


def changed(every: int) -> tuple[list[str], int]:
    paths = list(texts(every))
    found = [(path, path.read_text(errors="replace")) for path in paths]
    return [str(path) for path, text in found if len(text) < 500_000 and ORDINARY.redact(text) != text], len(paths)


def test_ordinary_files_stay_as_they_are() -> None:
    damaged, count = changed(every=16)
    assert count > 400
    assert damaged == []


@pytest.mark.long
def test_of_two_thousand_ordinary_files_one_is_changed_at_most() -> None:
    damaged, count = changed(every=1)
    assert len(damaged) <= max(1, count // 2000), damaged


RANDOM = random.Random(20261201)


def some(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    letters = "".join(RANDOM.choice(alphabet) for _ in range(length - 2))
    return f"{letters}7q"


PASSWORD = "Zq8-vT2x" + ".Lm4Kp9wRs"
SYMBOLS = "p/ss w@rd+" + "9=%é"
VARIABLES = {
    "DATABASE_URL": f"postgresql://app:{PASSWORD}@db:5432/app",
    "CELERY_BROKER": f"amqp://svc:{urllib.parse.quote(SYMBOLS, safe='')}@rabbit/",
    "GH_PAT": some(20),
    "PGPASS": some(12),
    "SSH_PASSPHRASE": "correct horse battery staple",
    "MYSQL_PWD": some(9),
    "FERNET_KEY": base64.b64encode(RANDOM.randbytes(32)).decode(),
    "SENTRY_DSN": f"https://{some(32, '0123456789abcdef')}@o1.ingest.example.com/5",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/services/" + some(24),
    "SHORT_PASSWORD": "x7Kq",
    "ODBC_CREDENTIALS": f"host=db;user=app;password={some(14)}",
    "SERVICE_CREDENTIALS": json.dumps({"kind": "service", "private": {"id": some(40)}}),
    "PREFECT_API_AUTH_STRING": f"admin:{some(32)}",
}
HIDDEN = [
    *(PASSWORD, SYMBOLS, VARIABLES["GH_PAT"], VARIABLES["PGPASS"], VARIABLES["SSH_PASSPHRASE"], VARIABLES["MYSQL_PWD"]),
    *(VARIABLES["FERNET_KEY"], VARIABLES["SENTRY_DSN"][8:40], VARIABLES["SLACK_WEBHOOK_URL"].rpartition("/")[2]),
    *(VARIABLES["ODBC_CREDENTIALS"].rpartition("=")[2], json.loads(VARIABLES["SERVICE_CREDENTIALS"])["private"]["id"]),
    VARIABLES["PREFECT_API_AUTH_STRING"].partition(":")[2],
]
KNOWING = Redactor(known_secrets(AgentSettings(), VARIABLES))


@pytest.mark.parametrize("secret", HIDDEN)
def test_every_known_secret_is_caught_in_all_its_forms(secret: str) -> None:
    raw = secret.encode()
    for form in (
        secret,
        json.dumps(secret)[1:-1],
        urllib.parse.quote(secret, safe=""),
        raw.hex(),
        base64.b64encode(raw).decode(),
    ):
        for text in (form, f"it is {form}, keep it", f'{{"a": "{form}"}}', f"x={form}\n", f"line\n{form}\n"):
            assert form not in KNOWING.redact(text), form
    pieces = KNOWING.stream()
    assert secret not in "".join([*map(pieces.feed, f"say {secret} now"), pieces.flush()])


@pytest.mark.parametrize("around", ["it is {} now", "{}", "x7KqA {} x7Kq9", "password={},", "({})"])
def test_a_short_secret_is_taken_out_where_it_stands_alone(around: str) -> None:
    assert KNOWING.redact(around.format("x7Kq")) == around.format("[redacted]")
    stream = KNOWING.stream()
    assert "".join([*map(stream.feed, around.format("x7Kq")), stream.flush()]) == around.format("[redacted]")


def test_what_the_host_has_in_files_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named, auth, token, listed = some(24), some(32), some(43), some(18)
    for path, content in {
        "secrets/github": f"{named}\n",
        "secrets/mode": "production\n",
        "prefect/auth-string": f"admin:{auth}",
        "api-token": token,
        ".env": f"DJANGO_SECRET_KEY={listed}\nDEBUG=true\nCACHE=redis://:{PASSWORD}@cache/0\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    redactor = Redactor(host_secrets(AgentSettings(state_dir=tmp_path), HostSettings()))
    for secret in (named, auth, token, listed, PASSWORD):
        assert redactor.redact(f"a {secret} b") == "a [redacted] b"
    assert redactor.redact("it runs in production, with admin rights") == "it runs in production, with admin rights"


def test_a_file_of_secrets_is_read_by_lines_and_never_without_bound(tmp_path: Path) -> None:
    (tmp_path / "many").write_text(f"user\n{PASSWORD}\n")
    (tmp_path / "large").write_bytes(os.urandom(200_000))
    assert PASSWORD in file_secrets([tmp_path / "many", tmp_path / "missing"])
    assert max(map(len, file_secrets([tmp_path]))) <= 65_536


@pytest.mark.parametrize(
    "name", ["GH_PAT", "PGPASS", "SSH_PASSPHRASE", "MYSQL_PWD", "DB_PASS", "FERNET_KEY", "NPM_AUTH"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["PWD", "OLDPWD", "PATH", "KEYBOARD", "SSH_AUTH_SOCK", "PATIENCE", "PASSENGER", "TOKEN_FILE"]
)
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)
