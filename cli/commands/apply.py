"""`agent-service apply`: a changed `prefect.yaml`, brought to Prefect."""

from __future__ import annotations

from cli.client.service import reach_service


def apply_register() -> int:
    """Have the running service read its register again; a file with a mistake in it changes nothing."""
    with reach_service() as service:
        applied = service.post("/register").json()
    print(f"{applied['register_path']}: {', '.join(applied['deployments'])}")
    return 0
