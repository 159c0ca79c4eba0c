"""The git config of an agent's home: what the service's git may fetch, the agent's may, and commits need no key.

The machine's own config is for its people: a signing key, hooks and aliases in it name what no sandbox has. What says
how to reach remotes stays.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from agent.git.git_directory import quote_config_value

NAME = ".gitconfig"
# sections, and keys in others, that name programs, files or keys of the machine's people
LEFT_OUT = re.compile(
    r"(alias|gpg|include|includeif|safe|maintenance|gc|pager|difftool|mergetool|sendemail)\."
    r"|(commit|tag|push)\.(gpgsign|forcesignannotated)$|user\.|init\.templatedir$|commit\.template$|blame\."
    r"|core\.(hookspath|fsmonitor|pager|editor|askpass|worktree|attributesfile|excludesfile)$"
)
FIXED = "[safe]\n\tdirectory = *\n[commit]\n\tgpgSign = false\n[tag]\n\tgpgSign = false\n"


def agent_git_config(name: str, email: str, system: str) -> str:
    """Return the text of an agent's own config; `system` is what `read_system_config` returned."""
    user = f"[user]\n\tname = {quote_config_value(name)}\n\temail = {quote_config_value(email)}\n"
    return system + FIXED + user


def read_system_config(environ: Mapping[str, str]) -> str:
    """Return the machine's config without what its people use alone; empty if there is none or no git."""
    environment = {name: environ[name] for name in ("PATH", "GIT_CONFIG_SYSTEM") if name in environ}
    command = ("git", "config", "--system", "--includes", "--null", "--list")
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=10, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    entries = [entry.partition("\n") for entry in done.stdout.decode(errors="replace").split("\0") if entry]
    return "".join(_rendered(key, value) for key, _, value in entries if not LEFT_OUT.match(key))


def _rendered(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    try:
        head = f"[{section} {quote_config_value(subsection)}]" if dot else f"[{section}]"
        return f"{head}\n\t{name} = {quote_config_value(value)}\n"
    except ValueError:
        return ""
