"""The files that a service is deployed with: whole, and sandboxes can be built with what they allow."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings
from prefect.settings.models.root import _get_settings_accessors

from agent.settings import AgentSettings
from api.settings import ApiSettings
from deployments.settings import HostSettings
from deployments.standalone.supervisor import CANNOT_START
from store.settings import StoreSettings

FILES = Path(__file__).parents[3] / "deployments"
COMPOSE = FILES / "docker" / "compose.yaml"
MANIFESTS = sorted(set((FILES / "kubernetes").glob("*.yaml")) - {FILES / "kubernetes" / "kustomization.yaml"})
UNITS = sorted((FILES / "systemd").glob("*.service"))
OURS = {
    name.upper()
    for settings in (AgentSettings, ApiSettings, HostSettings, StoreSettings)
    for name in settings.model_fields
}


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program that may be missing."""
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"needs {program}")
    command = [found, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def hosts() -> dict[str, Any]:
    stateful_set = documents(FILES / "kubernetes" / "hosts.yaml")[0]
    return dict(stateful_set["spec"]["template"]["spec"])


def test_the_image_is_built_as_its_linter_likes() -> None:
    done = run("hadolint", FILES / "docker" / "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_compose_file_is_of_its_schema() -> None:
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, done.stdout


def test_the_manifests_are_of_their_schemas() -> None:
    done = run("kubernetes-validate", "-k", "1.33", "--strict", *MANIFESTS)
    assert done.returncode == 0, done.stderr


def test_the_manifests_are_put_together() -> None:
    done = run("kubectl", "kustomize", FILES / "kubernetes")
    assert done.returncode == 0, done.stderr
    kinds = [one["kind"] for one in yaml.safe_load_all(done.stdout)]
    assert {"StatefulSet", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"} <= set(kinds)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_units_are_ones(unit: Path) -> None:
    said = run("systemd-analyze", "verify", "--man=no", unit).stderr
    lines = [line for line in said.splitlines() if "agent-service" in line and "is not executable" not in line]
    assert lines == []


def test_every_file_sets_what_is_a_setting() -> None:
    compose = yaml.safe_load(COMPOSE.read_text())
    named = set(compose["services"]["host-1"]["environment"])
    named |= {one["name"] for one in hosts()["containers"][0]["env"]}
    dockerfile = (FILES / "docker" / "Dockerfile").read_text()
    named |= set(re.findall(r"^\s+(?:ENV )?([A-Z_]+)=", dockerfile, re.M))
    for unit in UNITS:
        for line in re.findall(r"^Environment=(.*)", unit.read_text(), re.M):
            named |= {one.partition("=")[0] for one in line.split()}
    strange = {name for name in named if not name.startswith("PREFECT_")} - OURS
    assert strange == {"HOME", "PYTHONUNBUFFERED", "NO_PROXY", "no_proxy"}


def test_prefect_is_told_the_same_everywhere() -> None:
    assert (FILES / "kubernetes" / "prefect.env").read_text() == (FILES / "docker" / "prefect.env").read_text()


def test_prefect_reads_what_it_is_told() -> None:
    lines = (FILES / "docker" / "prefect.env").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name for name in told if name not in _get_settings_accessors(Settings)} == {"DO_NOT_TRACK"}
    pytest.importorskip("prefect_redis", reason="needs prefect-redis: the extra `scale`")
    for module in {value for value in told.values() if value.startswith("prefect_redis.")}:
        importlib.import_module(module)


def test_a_host_has_the_time_to_drain_everywhere() -> None:
    pod = hosts()
    drain = next(int(one["value"]) for one in pod["containers"][0]["env"] if one["name"] == "DRAIN_SECONDS")
    assert pod["terminationGracePeriodSeconds"] >= drain + 60
    host = yaml.safe_load(COMPOSE.read_text())["services"]["host-1"]
    assert int(host["stop_grace_period"].removesuffix("m")) * 60 >= int(host["environment"]["DRAIN_SECONDS"]) + 60
    for unit in UNITS:
        drain, stop = (
            int(re.findall(rf"{name}=(\d+)", unit.read_text())[0]) for name in ("DRAIN_SECONDS", "TimeoutStopSec")
        )
        assert stop >= drain + 60


def test_health_is_asked_without_a_proxy_and_a_slow_first_start_is_waited_for() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    health = re.findall(r"--start-period=(\d+)s.*\n\s+CMD (.*)", (FILES / "docker" / "Dockerfile").read_text())
    health.append(
        (services["prefect"]["healthcheck"]["start_period"][:-1], json.dumps(services["prefect"]["healthcheck"]))
    )
    for start_period, command in health:
        assert int(start_period) >= 300
        assert "ProxyHandler({})" in command
    for name in ("prefect", "prefect-services", "host-1", "host-2"):
        for variable in ("NO_PROXY", "no_proxy"):
            direct = set(services[name]["environment"][variable].split(","))
            assert direct >= {"postgres", "redis", "prefect", "localhost", "127.0.0.1"}
    for pod in pods():
        for container in pod["containers"]:
            probe = container.get("startupProbe")
            assert probe is None or probe["periodSeconds"] * probe["failureThreshold"] >= 300


def test_the_command_of_the_images_health_check_is_one(tmp_path: Path) -> None:
    [command] = re.findall(r"--start-period=\d+s.*\n\s+CMD (.*)", (FILES / "docker" / "Dockerfile").read_text())
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    argv = [sys.executable, *json.loads(command)[1:]]
    environment = {"API_PORT": str(port), "HTTP_PROXY": "http://192.0.2.1:3128", "http_proxy": "http://192.0.2.1:3128"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert "Connection refused" in done.stderr  # by loopback itself, and by no proxy


def test_any_credential_will_do_and_any_setting_can_be_given() -> None:
    host = yaml.safe_load(COMPOSE.read_text())["services"]["host-1"]
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_BASE_URL", "AGENT_CAPACITY"):
        assert host["environment"][name] == f"${{{name}:-}}"
    assert "${CONFIG_DIR:-./config}:/etc/agent-service:ro" in host["volumes"]
    assert (COMPOSE.parent / "config" / "README.md").is_file()  # Docker would make a missing one, for root
    [container] = hosts()["containers"]
    keys = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"] if "valueFrom" in one}
    assert keys["ANTHROPIC_API_KEY"]["optional"]
    assert keys["CLAUDE_CODE_OAUTH_TOKEN"]["optional"]
    assert container["envFrom"][0]["secretRef"]["optional"]


def test_agents_fit_into_the_volume_of_their_pod() -> None:
    stateful_set = documents(FILES / "kubernetes" / "hosts.yaml")[0]
    [claim] = stateful_set["spec"]["volumeClaimTemplates"]
    environment = {one["name"]: one.get("value") for one in hosts()["containers"][0]["env"]}
    needed_mb = int(environment["AGENT_DISK_MB"]) * int(environment["AGENT_CAPACITY"])
    assert int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 1024 >= needed_mb + 20_000


def test_kubernetes_sets_no_variable_of_prefects_by_itself() -> None:
    assert len(pods()) == 3
    assert not any(pod["enableServiceLinks"] for pod in pods())


def test_what_no_restart_mends_is_not_started_again_for_ever() -> None:
    for unit in UNITS:
        assert re.search(r"^RestartPreventExitStatus=2$", unit.read_text(), re.M)
        assert re.search(r"^StartLimitBurst=", unit.read_text(), re.M)
    assert CANNOT_START == 2


def pods() -> list[dict[str, Any]]:
    found = [one.get("spec", {}).get("template", {}).get("spec") for path in MANIFESTS for one in documents(path)]
    return [pod for pod in found if pod]


def test_no_container_has_more_than_it_needs() -> None:
    for path in MANIFESTS:
        for one in documents(path):
            pod = one.get("spec", {}).get("template", {}).get("spec")
            if pod is None:
                continue
            assert pod["securityContext"]["runAsNonRoot"]
            assert not pod["automountServiceAccountToken"]
            for container in pod["containers"]:
                held = container["securityContext"]
                assert held["readOnlyRootFilesystem"]
                assert not held["allowPrivilegeEscalation"]
                assert held["capabilities"] == {"drop": ["ALL"]}
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name in ("prefect", "prefect-services", "host-1", "host-2"):
        assert services[name]["read_only"]
        assert services[name]["cap_drop"] == ["ALL"]


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
@pytest.mark.parametrize("of", ["container", "unit"])
def test_sandboxes_can_be_built_under_the_filter_of_system_calls(of: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(container_filter() if of == "container" else unit_filter()))
    program = Path(__file__).parent / "filtered.py"
    done = subprocess.run(
        [sys.executable, str(program), str(profile)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kind"] == "bwrap", found["reason"]
    assert found["named"] > 300


def container_filter() -> dict[str, Any]:
    return dict(json.loads((FILES / "docker" / "seccomp.json").read_text()))


def unit_filter() -> dict[str, Any]:
    """What `SystemCallFilter=` of the unit comes to."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)", UNITS[0].read_text(), re.M):
        names = {name for word in line.lstrip("~").split() for name in members(word)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return {"defaultErrnoRet": 1, "syscalls": [{"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}]}


def members(word: str) -> set[str]:
    if not word.startswith("@"):
        return {word}
    listed = run("systemd-analyze", "syscall-filter", word).stdout.splitlines()[1:]
    words = [line.strip() for line in listed if line.strip() and not line.strip().startswith("#")]
    return {name for one in words for name in members(one)} | (
        members("@default") if word == "@system-service" else set()
    )
