"""Label values, which must stay few: each new one is a new series in whoever collects them."""

from __future__ import annotations

UNKNOWN = "unknown"
OTHER = "other"

LONGEST = 100


class Names:
    """The first so many names are told apart; whatever comes after them is `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: set[str] = set()

    def learn(self, name: str) -> str:
        """The label of a name that is known to be a true one."""
        short = name[:LONGEST]
        if short not in self._names and len(self._names) >= self._most:
            return OTHER
        self._names.add(short)
        return short

    def of(self, name: str) -> str:
        """The label of a name that may be anything: `unknown` unless it was learnt before."""
        short = name[:LONGEST]
        return short if short in self._names else UNKNOWN
