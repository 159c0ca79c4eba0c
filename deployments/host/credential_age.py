"""Age of the provider credential."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from pathlib import Path

from agent.domain.errors import NotConfigured
from agent.domain.values import Frozen
from agent.provider.credential import find_credential
from agent.settings import AgentSettings
from agent.system.files import write


class SeenCredential(Frozen):
    """A fingerprint of the credential, which does not reveal it to a reader of the file, and when it was first seen."""

    salt: str
    fingerprint: str
    since: datetime


def credential_since(settings: AgentSettings) -> datetime | None:
    """Return when this host first saw the credential that is set now; None without one."""
    try:
        variable, value = find_credential(settings)
    except NotConfigured:
        return None
    path = settings.state_dir / "host" / "credential.json"
    seen = _read(path)
    if seen is not None and hmac.compare_digest(seen.fingerprint, _fingerprint(seen.salt, variable, value)):
        return seen.since
    salt = secrets.token_hex(16)
    now = SeenCredential(salt=salt, fingerprint=_fingerprint(salt, variable, value), since=datetime.now(UTC))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, now.model_dump_json())
    return now.since


def _read(path: Path) -> SeenCredential | None:
    try:
        return SeenCredential.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def _fingerprint(salt: str, variable: str, value: str) -> str:
    # slow to try out, in case the credential is a short one
    digest = hashlib.scrypt(f"{variable}={value}".encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1)
    return digest.hex()[:32]
