"""A lower CPU priority for agents than for the service, by nice, also where each session is scheduled as one."""

from __future__ import annotations

NICE = 10
"""A tenth of the service's share of a core: its event loop gets a core at once, however many agents compute."""

# Linux may schedule each session as one group (autogroup), and bubblewrap makes a session: nice alone would then only
# rank an agent's processes among themselves. Only a session's leader sets it: in any other session the service, or
# whoever started this, would be slowed down as well. Either step may be impossible, and the agent starts all the same.
_SCRIPT = (
    "read -r _ _ _ _ _ session _ < /proc/self/stat; "
    f'[ "$session" = "$$" ] && echo {NICE} 2>/dev/null > /proc/self/autogroup; '
    f'command -v nice > /dev/null 2>&1 && exec nice -n {NICE} "$@"; exec "$@"'
)


def with_lower_priority(argv: list[str]) -> list[str]:
    """Return the command that starts `argv` with a lower CPU priority, which all its descendants inherit."""
    return ["/bin/sh", "-c", _SCRIPT, "sh", *argv]
