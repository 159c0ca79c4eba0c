"""Reads named secrets from files that only the service can read."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from tasks.sources.base import Secret
from tasks.sources.errors import SourceFailed


class NamedSecrets:
    """The secret files of one directory, as Docker, Kubernetes and systemd provide them; made for each listing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def fill(self, values: Mapping[str, str | Secret]) -> dict[str, str]:
        """Replace each secret by its value. Raises SourceFailed if one is missing."""
        return {name: value if isinstance(value, str) else self.read(value) for name, value in values.items()}

    def read(self, secret: Secret) -> str:
        """Read the value of one secret, without its line end. Raises SourceFailed."""
        path = self._directory / Path(secret.secret).name
        try:
            value = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SourceFailed(f"secret {secret.secret!r}: {path}: {reason}; put its value in that file") from None
        if not value or "\n" in value:
            raise SourceFailed(f"secret {secret.secret!r}: {path} must hold exactly one line")
        if secret.user is not None:
            return "Basic " + b64encode(f"{secret.user}:{value}".encode()).decode()
        return secret.prefix + value
