"""Secrets by name: each is a file that only the service reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.sources.errors import SourceFailed
from tasks.sources.models import Secret


class NamedSecrets:
    """The files of one directory: what Docker, Kubernetes and systemd call secrets or credentials."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fill(self, values: Mapping[str, str | Secret]) -> dict[str, str]:
        """The values with each secret in its place; raises SourceFailed for one that there is not."""
        return {name: value if isinstance(value, str) else self.read(value) for name, value in values.items()}

    def read(self, secret: Secret) -> str:
        """The secret's value, without the line's end."""
        path = self._directory / Path(secret.secret).name
        try:
            value = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SourceFailed(f"secret {secret.secret!r}: {path}: {reason}; put its value in that file") from None
        if not value or "\n" in value:
            raise SourceFailed(f"secret {secret.secret!r}: {path} must hold exactly one line")
        return secret.prefix + value
