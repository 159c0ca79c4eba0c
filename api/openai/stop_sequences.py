"""Cuts an answer where a stop sequence begins."""

from __future__ import annotations

from collections.abc import Sequence


class StopSequences:
    """Cuts one answer, whole or in pieces; made for each answer.

    The CLI cannot stop the model there, so the run goes on to its end, and what follows is left out.
    """

    def __init__(self, sequences: Sequence[str]) -> None:
        self._sequences = [sequence for sequence in sequences if sequence]
        self._held = ""
        self.reached = False

    def cut(self, text: str) -> str:
        """Return the text of a whole answer up to the first stop sequence."""
        places = [text.find(sequence) for sequence in self._sequences]
        return text[: min((place for place in places if place >= 0), default=None)]

    def add(self, piece: str) -> str:
        """Return what can be sent now that `piece` has come; what may begin a sequence is held back."""
        if self.reached:
            return ""
        text = self._held + piece
        shortened = self.cut(text)
        if len(shortened) < len(text):
            self.reached = True
            self._held = ""
            return shortened
        held = max((self._begun(text, sequence) for sequence in self._sequences), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """Return what was held back, at the end of the answer."""
        held, self._held = self._held, ""
        return held

    @staticmethod
    def _begun(text: str, sequence: str) -> int:
        """Return how many characters at the end of the text begin the sequence."""
        most = min(len(text), len(sequence) - 1)
        return next((length for length in range(most, 0, -1) if text.endswith(sequence[:length])), 0)
