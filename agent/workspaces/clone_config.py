"""The git configuration of a checkout: looks like an ordinary clone of the remote."""

from __future__ import annotations

from agent.domain.checkout import Identity, Snapshot
from agent.git.git_directory import CORE, GitDir, quote_config_value
from agent.mirrors.mirror import Mirror
from agent.settings import WorkspaceConfig


def describe_clone(snapshot: Snapshot, mirror: Mirror, config: WorkspaceConfig, identity: Identity) -> GitDir:
    """Return the git directory of a clone of the remote that borrows the mirror's objects."""
    refs, branch = mirror.refs(), snapshot.branch
    return GitDir(
        head=f"ref: refs/heads/{branch}" if branch else snapshot.commit,
        alternates=(mirror.objects,),
        packed_refs=refs.packed(),
        shallow=mirror.shallow(),
        config=_clone_config(snapshot, mirror, config, identity),
        trailers=identity.all_trailers,
        refs={f"refs/heads/{branch}": snapshot.commit} if branch else {},
        symbolic_refs={"refs/remotes/origin/HEAD": f"refs/remotes/origin/{refs.default}"} if refs.default else {},
    )


def _clone_config(
    snapshot: Snapshot, mirror: Mirror, config: WorkspaceConfig, identity: Identity
) -> dict[str, dict[str, str]]:
    sections = {
        "core": CORE,
        'remote "origin"': {"url": mirror.remote.url, "fetch": "+refs/heads/*:refs/remotes/origin/*"},
        "user": {"name": identity.name or "", "email": identity.email or ""},
        # git must not go on in the background once the agent has ended
        "gc": {"autoDetach": "false"},
        "maintenance": {"autoDetach": "false"},
    }
    if snapshot.branch:
        sections[f"branch {quote_config_value(snapshot.branch)}"] = {
            "remote": "origin",
            "merge": f"refs/heads/{snapshot.branch}",
        }
    if config.share_credentials and config.credential_helper:
        sections["credential"] = {"helper": config.credential_helper}
    return sections
