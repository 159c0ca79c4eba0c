"""Checks if bubblewrap works on this machine, and says how to fix it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.sandbox.bubblewrap import Bubblewrap, SandboxSpec, bubblewrap_argv

Setting = Literal["auto", "bwrap", "off"]

PROOF = "in a sandbox"
# What a hostile agent would try first must fail in the trial already.
TRIAL = f'test "$$" -lt 10 && ! test -w /proc/sys/kernel/core_pattern && echo {PROOF}'
DEBUG_HINT = "run `bwrap --ro-bind / / --unshare-all true` by hand to see more"


class ProbeResult(Frozen):
    """How agents are isolated here: in a sandbox, or not, and why."""

    kind: Literal["bwrap", "none"]
    reason: str
    remedy: str = ""
    path: Path | None = None
    version: str | None = None
    bubblewrap: Bubblewrap | None = None


def probe_sandbox(setting: Setting, *, timeout_seconds: float = 10.0) -> ProbeResult:
    """Build one small sandbox and look; raises NotConfigured if `bwrap` was asked for and does not work."""
    if setting == "off":
        return ProbeResult(kind="none", reason="AGENT_SANDBOX=off")
    sandbox = _probe(timeout_seconds)
    if setting == "bwrap" and sandbox.kind == "none":
        raise NotConfigured(f"AGENT_SANDBOX=bwrap, and no sandbox can be built here: {sandbox.reason}", sandbox.remedy)
    return sandbox


def _probe(timeout_seconds: float) -> ProbeResult:
    """Try the strongest sandbox first; root needs no user namespace of its own, an ordinary user does."""
    path = shutil.which("bwrap")
    if path is None:
        return ProbeResult(kind="none", reason="bubblewrap is not installed", remedy="apt install bubblewrap")
    version = _version(path, timeout_seconds)
    complaint = ""
    for user_namespace, seal in ((True, True), (True, False), (False, False)):
        bubblewrap = Bubblewrap(
            path=Path(path),
            version=version,
            user_namespace=user_namespace,
            seal=seal,
            sizes=_numbers(version) >= (0, 7),
        )
        refusal = _try_out(bubblewrap, timeout_seconds)
        if refusal is None:
            reason = "a sandbox was built and held" if seal else "a sandbox was built; agents can make namespaces in it"
            return ProbeResult(
                kind="bwrap", reason=reason, path=bubblewrap.path, version=version, bubblewrap=bubblewrap
            )
        complaint = complaint or refusal
    reason = complaint.splitlines()[-1] if complaint else "bubblewrap said nothing"
    return ProbeResult(kind="none", reason=reason, remedy=_cure(complaint), path=Path(path), version=version)


def _try_out(bubblewrap: Bubblewrap, timeout_seconds: float) -> str | None:
    """Return None if a sandbox works, else what bubblewrap said."""
    with tempfile.TemporaryDirectory() as name:
        plan = SandboxSpec(
            checkout=_made(name, "checkout"), config_dir=_made(name, "config"), tmp_dir=_made(name, "tmp")
        )
        argv = bubblewrap_argv(plan, ["/bin/sh", "-c", TRIAL], bubblewrap)
        try:
            done = _run(argv, timeout_seconds)
        except subprocess.TimeoutExpired:
            return f"a small sandbox did not end within {timeout_seconds:g} s"
        except OSError as error:
            return f"{bubblewrap.path}: {error.strerror}"
    if done.returncode == 0 and done.stdout.strip() == PROOF:
        return None
    return done.stderr.strip() or f"the trial in the sandbox failed (exit {done.returncode})"


def _made(*parts: str) -> Path:
    path = Path(*parts)
    path.mkdir()
    return path


def _version(path: str, timeout_seconds: float) -> str:
    try:
        return _run([path, "--version"], timeout_seconds).stdout.removeprefix("bubblewrap").strip()
    except (subprocess.TimeoutExpired, OSError):
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


def _run(argv: list[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        check=False,
    )


def _cure(complaint: str) -> str:
    """Return what to change, from what bubblewrap said and what the kernel says about itself."""
    if "mount proc" in complaint:
        return (
            "the container masks /proc: start it with --security-opt systempaths=unconfined, "
            "in Kubernetes with procMount: Unmasked"
        )
    if "amespace" in complaint or "uid map" in complaint or "not permitted" in complaint.lower():
        return _namespace_cure()
    return DEBUG_HINT


def _namespace_cure() -> str:
    if _kernel_says("user/max_user_namespaces") == "0":
        return "user namespaces are off: sysctl user.max_user_namespaces=15000"
    if _kernel_says("kernel/unprivileged_userns_clone") == "0":
        return "user namespaces are off for ordinary users: sysctl kernel.unprivileged_userns_clone=1"
    if _kernel_says("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces: give bwrap a profile with `userns,`, "
            "or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return (
        "seccomp or AppArmor forbids namespaces: start the container with --security-opt seccomp=seccomp.json, the "
        "profile in deployments/docker, --security-opt apparmor=unconfined --security-opt systempaths=unconfined"
    )


def _kernel_says(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None
