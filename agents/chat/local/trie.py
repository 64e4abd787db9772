"""A trie of token sequences: the tokens allowed next, so that the decoded text is one of a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Node:
    """A beginning of some sequences. `below` counts the sequences that go through it or end here."""

    children: dict[int, Node] = field(default_factory=dict)
    ends: int | None = None
    """The sequence that ends here, by its number."""
    below: int = 0


class TokenTrie:
    """Sequences of token ids, none of them empty. Of equal sequences the first counts."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.root = Node()
        self._paths: dict[int, tuple[int, ...]] = {}
        for number, sequence in enumerate(sequences):
            self._add(number, tuple(sequence))

    def _add(self, number: int, sequence: tuple[int, ...]) -> None:
        if not sequence:
            raise ValueError(f"sequence {number} is empty")
        path = self._walk(sequence)
        if path[-1].ends is None:
            path[-1].ends = number
            self._paths[number] = sequence
            for node in path:
                node.below += 1

    def _walk(self, sequence: Iterable[int]) -> list[Node]:
        path = [self.root]
        for token in sequence:
            path.append(path[-1].children.setdefault(token, Node()))
        return path

    def without(self, numbers: Iterable[int]) -> Open:
        """The trie as it stands when these sequences are not to be written; numbers it does not hold are ignored."""
        taken: Counter[int] = Counter()
        paths = {self._paths[number] for number in numbers if number in self._paths}
        for sequence in paths:
            for node in self._walk(sequence):
                taken[id(node)] += 1
        return Open(self.root, taken)


@dataclass(frozen=True, slots=True)
class Open:
    """A trie with some of its sequences taken out."""

    root: Node
    _taken: Counter[int]

    def next(self, node: Node) -> dict[int, Node]:
        """The tokens that may follow and where each leads; empty where a sequence can only end."""
        return {token: child for token, child in node.children.items() if child.below > self._taken[id(child)]}

    def ending(self, node: Node) -> int | None:
        """The sequence that ends here and may be written."""
        gone = self._taken[id(node)] - sum(self._taken[id(child)] for child in node.children.values())
        return None if node.ends is None or gone else node.ends

    def empty(self) -> bool:
        return self.root.below <= self._taken[id(self.root)]
