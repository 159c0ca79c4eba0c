"""Checks of what agents get of the service's environment and files, and what they do not; by name alone."""

from __future__ import annotations

import re
from pathlib import Path

from agent.claude.environment import ALWAYS
from agent.domain.errors import NotConfigured
from agent.egress.allowlist import read_destinations
from agent.sandbox.mounts import is_there
from cli.doctor.context import DoctorContext
from cli.doctor.finding import Finding, broken, ok, warning

CONFIG_PARTS = ("agents", "skills", "commands", "settings.json", "CLAUDE.md", ".claude.json")

# What agents used where they had all of the service's environment: logins, keys, clusters, registries.
USUAL_HOME = (
    *(".ssh", ".gitconfig", ".git-credentials", ".netrc", ".config/gh", ".config/git", ".kube", ".aws", ".azure"),
    *(".config/gcloud", ".docker", ".npmrc", ".pypirc", ".gnupg", ".terraform.d", ".claude", ".claude.json"),
)
USUAL_VARIABLES = re.compile(
    r"(GH|GITHUB|GITLAB|NPM|HF|VAULT|DIGITALOCEAN|CLOUDFLARE|HCLOUD|LINODE|SLACK|OP)_.*TOKEN.*|KUBECONFIG|SSH_AUTH_SOCK"
    r"|GIT_SSH_COMMAND|AWS_\w+|AZURE_\w+|GOOGLE_APPLICATION_CREDENTIALS|DOCKER_\w+|TF_VAR_\w+|\w*_PROXY|\w*_proxy"
)


async def check_environment(world: DoctorContext) -> list[Finding]:
    """Check the variables that agents get."""
    allowed = world.agent.agent_env_allow
    missing = [name for name in allowed if name not in world.environ]
    if missing:
        text = f"AGENT_ENV_ALLOW names variables that are not set: {', '.join(missing)}"
        return [warning("agent env", text, f"set {missing[0]}, or remove it from AGENT_ENV_ALLOW")]
    given = [name for name in (*ALWAYS, *allowed) if name in world.environ]
    return [ok("agent env", f"agents get {', '.join(dict.fromkeys(given)) or 'none of these variables'}")]


async def check_paths(world: DoctorContext) -> list[Finding]:
    """Check the paths that agents get besides the system, their checkout, home and /tmp."""
    settings = world.agent
    for name, paths in (("READ", settings.agent_read_paths), ("WRITE", settings.agent_write_paths)):
        missing = [str(path) for path in paths if not is_there(path)]
        if missing:
            text = f"AGENT_{name}_PATHS names what does not exist; agents run without: {', '.join(missing)}"
            return [warning("agent paths", text, f"create {missing[0]}, or remove it from AGENT_{name}_PATHS")]
    read, write = (
        ", ".join(map(str, paths)) or "nothing" for paths in (settings.agent_read_paths, settings.agent_write_paths)
    )
    return [ok("agent paths", f"besides their own files, agents read {read} and write {write}")]


async def check_network(world: DoctorContext) -> list[Finding]:
    """Check the destinations in the network that agents reach."""
    allowed = world.agent.agent_egress_allow
    try:
        read_destinations(allowed)
    except NotConfigured as error:
        return [broken("agent network", str(error), "correct AGENT_EGRESS_ALLOW")]
    match world.agent.agent_network:
        case "allow" if not allowed:
            text = "AGENT_NETWORK=allow, and AGENT_EGRESS_ALLOW lists nothing: agents reach only the model"
            return [warning("agent network", text, "export AGENT_EGRESS_ALLOW=…, or AGENT_NETWORK=none")]
        case "allow":
            return [ok("agent network", f"agents reach the model, and by a proxy {', '.join(allowed)}")]
        case "none":
            return [ok("agent network", "agents reach only the model")]
    if allowed:
        text = "AGENT_EGRESS_ALLOW is set, and agents reach all that this machine does"
        return [warning("agent network", text, "export AGENT_NETWORK=allow")]
    return [ok("agent network", "agents reach all that this machine does, itself included")]


async def check_template(world: DoctorContext) -> list[Finding]:
    """Check the CLI config directory that agents start with."""
    template = world.agent.agent_config_template
    if template is None:
        return [ok("agent config", "agents start with an empty CLI config directory")]
    if not template.is_dir():
        text = f"AGENT_CONFIG_TEMPLATE: {template} is no directory; no agent can start"
        return [broken("agent config", text, f"mkdir {template}, or unset AGENT_CONFIG_TEMPLATE")]
    there = [name for name in CONFIG_PARTS if is_there(template / name)]
    return [ok("agent config", f"{template}: {', '.join(there) or 'nothing that the CLI is known to read'}")]


async def check_missing(world: DoctorContext) -> list[Finding]:
    """List what the service has and its agents do not; each can be given to them."""
    variables = sorted(name for name in world.environ if USUAL_VARIABLES.fullmatch(name) and not _is_given(world, name))
    places = [f"~/{name}" for name in USUAL_HOME if _is_unseen(world, world.home / name)]
    if not variables and not places:
        return [ok("not seen", "agents have all that they usually need from this user's home and variables")]
    lacking = [f"a HOME of their own, without {', '.join(places)}"] if places else []
    lacking += [f"not the variables {', '.join(variables)}"] if variables else []
    text = f"agents have {', and '.join(lacking)}"
    ways = [f"AGENT_ENV_ALLOW={','.join(variables)}"] if variables else []
    claude = [place for place in places if place.startswith("~/.claude")]
    others = [str(world.home / place[2:]) for place in places if place not in claude]
    ways += [f"AGENT_READ_PATHS={','.join(others)} (where they lie now)"] if others else []
    ways += [f"AGENT_CONFIG_TEMPLATE={world.home / '.claude'}"] if "~/.claude" in claude else []
    return [ok("not seen", text, f"to give it to them: {'  '.join(ways)}")]


def _is_given(world: DoctorContext, name: str) -> bool:
    return name in ALWAYS or name in world.agent.agent_env_allow


def _is_unseen(world: DoctorContext, path: Path) -> bool:
    if path.name == ".claude" and world.agent.agent_config_template is not None:
        return False
    given = (*world.agent.agent_read_paths, *world.agent.agent_write_paths)
    return is_there(path) and not any(place == path or place in path.parents for place in given)
