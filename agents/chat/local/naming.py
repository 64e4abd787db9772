"""Constrained decoding of one title of a catalogue, along a token trie of all titles."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ....errors import ConfigError, DataError
from ..types import Message
from .decoding import write
from .encoding import opened, shared_length
from .model import LocalModel
from .trie import TokenTrie

_TAIL = 32
"""Characters of the prompt's end that titles are tokenised with first; the whole prompt where these do not suffice."""
_TRIES = 8
"""Tries held in memory, one for each way in which prompts end."""


@dataclass(frozen=True, slots=True)
class CatalogueTitle:
    """A title of the catalogue, by its place there (the first of equal titles)."""

    item: int
    title: str
    logprob: float
    """Of all its tokens and of its end, under the unconstrained model."""


@dataclass(frozen=True, slots=True)
class _Route:
    """A trie over the titles after a beginning, and how many of the beginning's last tokens it begins with anew."""

    trie: TokenTrie
    reopened: int
    begun: tuple[int, ...]
    """The tokens of the beginning it was built after."""
    longest: int
    """Tokens of its longest title."""


class Catalogue:
    """The titles that may be decoded. `end` closes a title, so that one may be the beginning of another.

    Titles are tokenised in the context they follow. Decoding is greedy among the tokens that lead to an allowed title,
    which does not always give the likeliest title; for few candidates a Likelihood does.
    """

    def __init__(self, model: LocalModel, titles: Sequence[str], *, end: str = "\n") -> None:
        if not titles or not all(titles) or not end:
            raise ConfigError("a catalogue needs titles, none of them empty, and a text that ends a title (`end`)")
        for title in titles:
            if end in title:
                raise ConfigError(f"the title {title!r} holds what ends a title, {end!r}; take another `end`")
        self.model = model
        self.titles = tuple(titles)
        self.end = end
        self._firsts: dict[str, int] = {}
        for item, title in enumerate(self.titles):
            self._firsts.setdefault(title, item)
        self._routes: OrderedDict[str, _Route] = OrderedDict()

    async def name(
        self, prompt: str | tuple[Message, ...], begun: str = "", *, without: Collection[str] = ()
    ) -> CatalogueTitle | None:
        """The title that the model continues with, none of `without` (titles). None where none is left."""
        return await asyncio.to_thread(self._name, prompt, begun, frozenset(without))

    def _name(self, prompt: str | tuple[Message, ...], begun: str, without: frozenset[str]) -> CatalogueTitle | None:
        text, special = opened(self.model, prompt)
        text += begun
        ids = self.model.tokenizer(text, add_special_tokens=special)["input_ids"]
        route = self._route(text, ids, special)
        free = route.trie.without(self._firsts[title] for title in without if title in self._firsts)
        if free.empty():
            return None
        here = free.root

        def following(written: Sequence[int]) -> list[int] | None:
            nonlocal here
            if written:
                here = here.children[written[-1]]
            # What ends a title ends its sequence of tokens, so that no sequence goes on through an end.
            return list(free.next(here)) or None

        beginning = ids[: len(ids) - route.reopened]
        if len(beginning) + route.longest > self.model.length:
            raise DataError(
                f"the prompt has {len(ids)} tokens and the longest title {route.longest}, but {self.model.name} takes "
                f"{self.model.length}: shorten the prompt"
            )
        with self.model.computing():
            done = write(self.model, beginning, route.longest, following=following)
        item = free.ending(here)
        assert item is not None
        return CatalogueTitle(item, self.titles[item], sum(done.logprobs))

    def _route(self, text: str, ids: Sequence[int], special: bool) -> _Route:
        tail = text[-_TAIL:]
        route = self._routes.get(tail)
        if route is None or not self._fits(route, text, ids, special):
            route = self._built(tail, False)
            if not self._fits(route, text, ids, special):
                # The tail alone falls into other tokens than the whole text does at its end.
                return self._built(text, special)
            self._routes[tail] = route
            while len(self._routes) > _TRIES:
                self._routes.popitem(last=False)
        return route

    def _built(self, text: str, special: bool) -> _Route:
        tokenizer = self.model.tokenizer
        begun = tokenizer(text, add_special_tokens=special)["input_ids"]
        rows = tokenizer([f"{text}{title}{self.end}" for title in self.titles], add_special_tokens=special)["input_ids"]
        rows = [_whole(row, tokenizer.eos_token_id) if special else row for row in rows]
        common = min(shared_length([begun, row], min(len(begun), len(row))) for row in rows)
        paths = [row[common:] for row in rows]
        return _Route(TokenTrie(paths), len(begun) - common, tuple(begun), max(map(len, paths)))

    def _fits(self, route: _Route, text: str, ids: Sequence[int], special: bool) -> bool:
        """Whether the whole text ends in the tokens that the trie was built after, and one title goes on as there."""
        agree = route.reopened + 1
        if len(ids) < agree or tuple(ids[-agree:]) != route.begun[-agree:]:
            return False
        title = self.titles[0]
        whole = self.model.tokenizer(f"{text}{title}{self.end}", add_special_tokens=special)["input_ids"]
        here = route.trie.root
        for token in _whole(whole, self.model.tokenizer.eos_token_id)[len(ids) - route.reopened :]:
            if token not in here.children:
                return False
            here = here.children[token]
        return here.ends == 0


def _whole(ids: list[int], eos: int | None) -> list[int]:
    """The ids without an end of text that the tokenizer added."""
    return ids[:-1] if ids and ids[-1] == eos else ids
