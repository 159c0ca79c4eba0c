import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.claude.installation import find_cli
from agent.claude.process import AgentProcess
from agent.domain.errors import NotConfigured
from agent.provider.proxy import ProviderProxy
from agent.sandbox.bubblewrap import Bubblewrap, SandboxSpec, bubblewrap_argv
from agent.sandbox.cgroups import find_cgroups, in_cgroup
from agent.sandbox.probe import probe_sandbox
from agent.sandbox.resource_limits import ResourceLimits, holds
from agent.sandbox.sandbox import Placement
from agent.sandbox.shared_limits import limit_shared, shares
from agent.settings import AgentSettings
from agent.system.procfs import list_processes
from demo.offline_model.model import OfflineModel

NOBODY = 65534
AS_ROOT = os.geteuid() == 0
USERS = [pytest.param(NOBODY, id="nobody"), pytest.param(0, id="root")] if AS_ROOT else [os.geteuid()]
BINARY = find_cli(AgentSettings())
STREAM_JSON = ["--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
CLAUDE = [str(BINARY), "-p", *STREAM_JSON, "--dangerously-skip-permissions"]
WHEREVER = Bubblewrap(path=Path("/usr/bin/bwrap"))


@dataclass
class Den:
    """A state directory with checkouts and a secret, and the user to be in it."""

    root: Path
    user: int
    bubblewrap: Bubblewrap

    @property
    def checkout(self) -> Path:
        return self.root / "state" / "checkouts" / "1"

    def plan(self, **changes: Any) -> SandboxSpec:
        state = self.root / "state"
        usual = {"checkout": self.checkout, "mounted_at": Path("/workspace/infra")}
        private = {"config_dir": state / "config", "tmp_dir": state / "tmp", "home_dir": state / "home"}
        return SandboxSpec(**{**usual, **private, **changes})

    def start(self, script: str, *, through: tuple[str, ...] = (), **changes: Any) -> subprocess.Popen[str]:
        plan = self.plan(**changes)
        be: dict[str, Any] = {"user": self.user, "group": self.user, "extra_groups": []} if AS_ROOT else {}
        return subprocess.Popen(
            [*through, *bubblewrap_argv(plan, ["/bin/bash", "-c", script], self.bubblewrap)],
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "SECRET": "in-the-open", **plan.variables()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **be,
        )

    def run(self, script: str, **changes: Any) -> str:
        with self.start(script, **changes) as process:
            return process.communicate(timeout=30)[0]


@pytest.fixture(scope="module")
def bubblewrap() -> Bubblewrap:
    found = probe_sandbox("auto")
    if found.bubblewrap is None:
        pytest.skip(f"needs bubblewrap: {found.reason}")
    return found.bubblewrap


@pytest.fixture(params=USERS)
def den(request: pytest.FixtureRequest, bubblewrap: Bubblewrap) -> Iterator[Den]:
    root = Path(tempfile.mkdtemp(prefix="den-"))
    root.chmod(0o755)
    for name in ("state/checkouts/1", "state/checkouts/2", "state/config", "state/tmp", "state/home", "shared"):
        (root / name).mkdir(parents=True)
    (root / "state" / "secret").write_text("the key")
    (root / "shared" / "note").write_text("a note")
    for path in [root, *root.rglob("*")]:
        os.chown(path, request.param, request.param)
    yield Den(root, request.param, bubblewrap)
    shutil.rmtree(root)


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.01)
    return found


def words(plan: SandboxSpec, *argv: str, bubblewrap: Bubblewrap = WHEREVER) -> list[str]:
    return bubblewrap_argv(plan, list(argv) or ["/bin/true"], bubblewrap)


def bare_plan(tmp_path: Path, **changes: Any) -> SandboxSpec:
    for name in ("checkout", "config", "tmp"):
        (tmp_path / name).mkdir(exist_ok=True)
    usual = {"checkout": tmp_path / "checkout", "config_dir": tmp_path / "config", "tmp_dir": tmp_path / "tmp"}
    return SandboxSpec(**{**usual, **changes})


def test_a_deeper_place_is_mounted_after_the_one_around_it(tmp_path: Path) -> None:
    outer, inner = tmp_path / "shared", tmp_path / "shared" / "deep"
    inner.mkdir(parents=True)
    argv = words(bare_plan(tmp_path, read_paths=(inner, outer)))
    assert argv.index(str(outer)) < argv.index(str(inner))


def test_a_cover_is_mounted_only_where_something_would_be_seen(tmp_path: Path) -> None:
    secret = tmp_path / "shared" / "secret"
    secret.mkdir(parents=True)
    assert str(secret) not in words(bare_plan(tmp_path, hide=(secret,)))
    assert str(secret) in words(bare_plan(tmp_path, hide=(secret,), read_paths=(tmp_path / "shared",)))


def test_an_old_bubblewrap_is_asked_only_for_what_it_knows(tmp_path: Path) -> None:
    old = Bubblewrap(path=Path("/usr/bin/bwrap"), user_namespace=True, seal=False, sizes=False)
    assert not {"--size", "--disable-userns"} & set(words(bare_plan(tmp_path), bubblewrap=old))


def test_a_source_that_an_agent_could_turn_into_a_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="agents may write"):
        bare_plan(tmp_path, read_paths=(tmp_path / "checkout" / "inner",))


def test_the_program_is_seen_wherever_it_lies(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "claude"
    argv = words(bare_plan(tmp_path), str(program), "-p")
    assert argv[argv.index(str(program)) - 1] == "--ro-bind"
    assert argv[-2:] == [str(program), "-p"]


def test_the_checkout_is_written_where_it_is_mounted(den: Den) -> None:
    printed = den.run("pwd; echo made > made; git init -q . && git status --short; echo $HOME; echo x > ~/.npmrc")
    assert printed == "/workspace/infra\n?? made\n/agent\n"
    assert (den.checkout / "made").read_text() == "made\n"
    assert (den.checkout / "made").stat().st_uid == den.user


def test_the_checkout_can_stay_at_its_own_path(den: Den) -> None:
    assert den.run("pwd", mounted_at=None) == f"{den.checkout}\n"
    assert "secret" not in den.run("ls ../..; ls ..", mounted_at=None)


def test_temporary_files_and_the_config_directory_are_the_runs_own(den: Den) -> None:
    den.run("echo 1 > /tmp/t; echo 2 > $CLAUDE_CONFIG_DIR/c; cat /var/tmp/t")
    assert (den.root / "state" / "tmp" / "t").exists()
    assert (den.root / "state" / "config" / "c").exists()


def test_only_what_every_program_needs_is_there(den: Den) -> None:
    needed = ["/usr/bin/env", "/bin/sh", "/etc/passwd", "/etc/hosts", "/etc/ld.so.cache", "/dev/null", "/proc/1"]
    others = ["/etc/shadow", "/etc/gshadow", "/root", "/home", "/sys/kernel", "/var/lib", "/run/systemd", "/boot"]
    printed = den.run(f"for path in {' '.join([*needed, *others])}; do test -e $path && echo $path; done")
    assert printed.splitlines() == needed


def test_nothing_is_written_outside(den: Den) -> None:
    places = "/usr /etc / /dev /agent/.. /workspace /run /proc /proc/sys/kernel /sys"
    assert den.run(f"for place in {places}; do (: > $place/x) 2>/dev/null && echo $place; done") == ""


def test_the_kernel_is_not_told_what_to_do(den: Den) -> None:
    """Only looked at, never written: a cell that fails here must not cost the machine that runs the test."""
    assert den.run("find /proc/sys -type f -writable 2>/dev/null | head -3") == ""


def test_no_capability_is_left_and_none_can_be_had(den: Den) -> None:
    printed = den.run("grep -E 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status; unshare -U true; unshare -m true")
    assert "NoNewPrivs:\t1" in printed
    assert [line.split()[1] for line in printed.splitlines()[:3]] == ["0000000000000000"] * 3
    assert printed.count("unshare failed") == 2


def test_other_processes_are_neither_seen_nor_reached(den: Den) -> None:
    printed = den.run(f"ls -d /proc/[0-9]* | wc -l; kill -0 {os.getpid()} 2>&1; cat /proc/*/environ | tr '\\0' '\\n'")
    assert int(printed.split()[0]) < 10
    assert "PYTEST_CURRENT_TEST" not in printed
    assert "No such process" in printed


def test_the_environment_is_on_no_command_line(den: Den) -> None:
    printed = den.run("echo $SECRET; cat /proc/*/cmdline | tr '\\0' '\\n' | grep -c 'in-the-ope[n]'")
    assert printed == "in-the-open\n0\n"


def test_there_is_no_terminal_and_no_file_of_ours_is_open(den: Den) -> None:
    with open(den.root / "state" / "secret") as secret:  # noqa: PTH123
        os.set_inheritable(secret.fileno(), True)
        printed = den.run("(: > /dev/tty) 2>&1; ls -l /proc/self/fd; ls /dev/pts")
    assert "/dev/tty" in printed.splitlines()[0]
    assert "secret" not in printed


def test_what_is_granted_is_seen_and_nothing_else(den: Den) -> None:
    note = den.root / "shared" / "note"
    assert "No such file" in den.run(f"cat {note}")
    assert den.run(f"cat {note}", read_paths=(note.parent,)) == "a note"
    assert "Read-only" in den.run(f"echo x > {note}", read_paths=(note.parent,))
    assert den.run(f"echo more > {note}; cat {note}", write_paths=(note.parent,)) == "more\n"


def test_who_may_read_everything_still_does_not_see_what_is_hidden(den: Den) -> None:
    show = f"pwd; test -e /var/lib && echo all; cat {den.checkout.parents[1] / 'secret'}; echo x > /var/lib/x"
    plan: dict[str, Any] = {"read_paths": (Path("/"), den.root), "hide": (den.root / "state",), "mounted_at": None}
    printed = den.run(show, **plan)
    assert printed.startswith(f"{den.checkout}\nall\n")
    assert "the key" not in printed
    assert "Read-only" in printed


def test_a_single_file_can_be_hidden(den: Den) -> None:
    note = den.root / "shared" / "note"
    assert "a note" not in den.run(f"cat {note}", read_paths=(note.parent,), hide=(note,))


def test_without_a_network_this_machine_is_out_of_reach_too(den: Den) -> None:
    printed = den.run("cat /proc/net/dev | grep -c :; echo > /dev/tcp/127.0.0.1/1", network=False)
    assert printed.splitlines()[0] == "1"


LEAVER = """
setsid bash -c 'trap "" TERM HUP INT; echo "$COOKIE" up; sleep 300 & wait' &
disown; exec sleep 300
"""
SUPERVISOR = ("/bin/sh", "-c", '"$@" & wait', "sh")


@pytest.mark.parametrize("ended", ["supervisor", "bubblewrap", "bubblewrap, politely"])
def test_nothing_outlives_the_cell(den: Den, ended: str) -> None:
    process = den.start(LEAVER, through=SUPERVISOR if ended == "supervisor" else ())
    assert process.stdout is not None
    assert process.stdout.readline() == " up\n"
    until(lambda: len(descendants(process.pid)) >= 4, "its sleepers are there")
    family = descendants(process.pid)
    process.send_signal(signal.SIGTERM if "politely" in ended else signal.SIGKILL)
    until(lambda: not family & living(), "the cell is empty")
    process.communicate(timeout=10)


@pytest.mark.anyio
async def test_the_command_has_the_grace_of_sigterm_before_the_sandbox_is_killed(den: Den) -> None:
    """bubblewrap itself ends the whole sandbox on any signal, so SIGTERM has to go to the command in it."""
    script = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    argv = bubblewrap_argv(den.plan(), ["/bin/bash", "-c", script], den.bubblewrap)
    if AS_ROOT and den.user != 0:  # started as that user: root without capabilities cannot enter its directories
        argv = ["/usr/bin/setpriv", f"--reuid={den.user}", f"--regid={den.user}", "--clear-groups", *argv]
    placement = Placement(argv, {"PATH": "/usr/bin:/bin"}, Path("/"), cookie=None)
    process = await AgentProcess.start(argv, placement.environment, placement.directory, placement)
    lines = process.lines()
    assert await anext(lines) == "up"
    ending = asyncio.create_task(process.end())
    assert [line async for line in lines] == ["bye"]
    await ending
    assert process.exit_code == 3


INOTIFY = """
import ctypes, sys
sys.stdin.readline()
libc, count = ctypes.CDLL(None), 0
while count < 200 and libc.inotify_init() >= 0:
    count += 1
print(count, flush=True)
"""


@pytest.mark.anyio
async def test_a_sandbox_takes_its_own_share_of_inotify_and_no_more(den: Den) -> None:
    """The kernel counts the instances of a user in all sandboxes together, and in each user namespace by itself."""
    argv = bubblewrap_argv(den.plan(), ["/usr/bin/python3", "-c", INOTIFY], den.bubblewrap)
    if AS_ROOT and den.user != 0:
        argv = ["/usr/bin/setpriv", f"--reuid={den.user}", f"--regid={den.user}", "--clear-groups", *argv]
    environment = {"PATH": "/usr/bin:/bin"}
    process = await AgentProcess.start(argv, environment, Path("/"), Placement(argv, environment, Path("/"), None))
    assert await limit_shared(process.pid)
    await process.send({})
    most = int(dict(share.split("=") for share in shares())["max_inotify_instances"])
    assert [line async for line in process.lines()] == [str(most)]
    await process.end()


def test_a_share_leaves_room_for_ten_sandboxes(tmp_path: Path) -> None:
    for name, most in (("instances", 128), ("watches", 1_000_000)):
        (tmp_path / f"max_user_{name}").write_text(f"{most}\n")
    assert shares(tmp_path) == ["max_inotify_instances=12", "max_inotify_watches=62500"]
    assert shares(tmp_path / "missing") == []


def descendants(pid: int) -> set[int]:
    found, before = {pid}, set()
    while found != before:
        before = set(found)
        found |= {process.pid for process in list_processes().values() if process.parent in found}
    return found - {pid}


def living() -> set[int]:
    return {pid for pid, process in list_processes().items() if not process.is_zombie}


def test_a_file_grows_no_further_than_its_limit(den: Den) -> None:
    den.run("head -c 3000000 /dev/zero > big", limits=ResourceLimits(file_mb=1))
    assert (den.checkout / "big").stat().st_size == 1024 * 1024


def test_a_process_gets_no_more_memory_than_its_limit(den: Den) -> None:
    script = "python3 -c 'bytearray(400_000_000); print(1)' 2>&1"
    assert "MemoryError" in den.run(script, limits=ResourceLimits(memory_mb=256))
    assert den.run(script, limits=ResourceLimits(memory_mb=1024)) == "1\n"


def test_a_fork_bomb_meets_its_limit_where_the_table_says_so(den: Den) -> None:
    limits = ResourceLimits(processes=64)
    table = holds(limits, cgroup=False, own_user_namespace=True, root=den.user == 0)
    bomb = "import os; [os.fork() or signal.pause() for _ in range(100)]; print('boom'); os.kill(1, 9)"
    held = next(hold.held for hold in table if hold.name == "processes")
    printed = den.run(f'python3 -c "import signal; {bomb}" 2>&1', limits=limits)
    assert ("boom" not in printed) is held
    assert ("BlockingIOError" in printed) is held


def test_a_control_group_bounds_the_processes_of_a_run() -> None:
    groups = find_cgroups()
    if groups.version is None:
        pytest.skip(groups.reason)
    group = groups.make(f"test-{os.getpid()}", ResourceLimits(memory_mb=256, processes=64))
    bomb = "import os, signal; [os.fork() or signal.pause() for _ in range(100)]"
    with subprocess.Popen(in_cgroup(["python3", "-c", bomb], group), stderr=subprocess.PIPE, text=True) as process:
        assert process.wait(timeout=30) == 1
        assert group.remove(10)
        assert "BlockingIOError" in process.communicate()[1]


def test_a_control_group_bounds_the_memory_of_a_run() -> None:
    groups = find_cgroups()
    if groups.version is None:
        pytest.skip(groups.reason)
    group = groups.make(f"test-{os.getpid()}", ResourceLimits(memory_mb=256))
    hog = subprocess.run(in_cgroup(["python3", "-c", "bytearray(400_000_000)"], group), capture_output=True)
    assert hog.returncode == -signal.SIGKILL
    assert group.remove(10)


def test_whoever_enters_no_group_still_goes_first_when_memory_runs_out() -> None:
    done = subprocess.run(in_cgroup(["cat", "/proc/self/oom_score_adj"]), capture_output=True, text=True, check=True)
    assert done.stdout == "500\n"


def offline(steps: list[dict[str, Any]]) -> dict[str, Any]:
    prompt = {"role": "user", "content": f"offline-model: {json.dumps(steps)}"}
    return {"type": "user", "message": prompt, "parent_tool_use_id": None}


async def run_cli(argv: list[str], environment: dict[str, str], *lines: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={
            **{"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "IS_SANDBOX": "1", "CLAUDE_CODE_MAX_RETRIES": "0"},
            **{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", **environment},
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 24,
    )
    async with asyncio.timeout(30):
        printed, _ = await process.communicate("".join(f"{json.dumps(line)}\n" for line in lines).encode())
    assert process.returncode == 0, printed
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


async def test_the_real_cli_parked_and_claimed_works_in_a_cell(tmp_path: Path, bubblewrap: Bubblewrap) -> None:
    work = {"tool": "Bash", "input": {"command": "pwd; python3 -c 'print(6 * 7)'; git init -q . && git status --short"}}
    plan = bare_plan(tmp_path, mounted_at=Path("/workspace/infra"), start_in=Path("/tmp"))
    claim = {"subtype": "claim_session", "cwd": "/workspace/infra", "permission_mode": "bypassPermissions"}
    request = {"type": "control_request", "request_id": "1", "request": {**claim, "include_initialize": True}}
    async with OfflineModel() as model:
        result = await run_cli(
            bubblewrap_argv(plan, [*CLAUDE, "--await-claim"], bubblewrap),
            {**plan.variables(), "ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "sk-offline"},
            request,
            offline([work, {"text": "{tool_result}"}]),
        )
    assert result["result"].splitlines() == ["/workspace/infra", "42"]


async def test_the_real_cli_works_in_a_cell_without_a_network(tmp_path: Path, bubblewrap: Bubblewrap) -> None:
    door = tmp_path / "provider.sock"
    plan = bare_plan(tmp_path, network=False, provider_socket=door)
    look = {"tool": "Bash", "input": {"command": "grep -c : /proc/net/dev"}}
    async with OfflineModel() as model:
        settings = AgentSettings.model_validate({"anthropic_base_url": model.url, "anthropic_api_key": "sk-true"})
        async with ProviderProxy(settings, socket_path=door) as proxy:
            lease = proxy.lease("run")
            result = await run_cli(
                bubblewrap_argv(plan, CLAUDE, bubblewrap),
                {**plan.variables(), **lease.variables()},
                offline([look, {"text": "{tool_result}"}]),
            )
    assert result["result"] == "1"
    assert len(lease.calls) == 2
