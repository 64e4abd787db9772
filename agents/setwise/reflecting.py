"""The two reflections: a profile's claims and items' semantics, written anew from what was misjudged."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from ... import prompts
from ..agent import Tools
from ..chat.handles import handles_for
from ..chat.structured import ask
from ..chat.types import Facts
from .claims import Cited, Claim, admitted, faded, within
from .judging import capped, claim_handles, described
from .oscillation import settle
from .partition import misjudged, wrongly_above
from .replies import descriptions_reply, reflection_reply, written
from .state import NAME, Setup, State


async def reflect_profile(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The user path: the sets that were judged wrongly and the truth make new claims and a lesson.

    A claim may cite the items of those sets and the earlier claims; what cites none of them is dropped. A rewrite of
    which nothing is left changes nothing.
    """
    config, step, now = setup.config, state["steps"][state["step"]], state["step"]
    shown = [described(item, state["facts"], state["semantics"]) for item in step["candidates"]]
    wrong = misjudged(state["judged"], step["positive"], len(shown))
    letters = handles_for(len(shown))
    claims = dict(zip(claim_handles(len(state["claims"])), state["claims"], strict=True))
    texts = {handle: claim.text for handle, claim in claims.items()}
    sets = [
        {
            "options": {letters[p]: shown[p] for p in judged.ranking},
            "reason": judged.reason,
            "claims": [list(claims)[place] for place in judged.cited],
        }
        for judged in wrong
    ]
    above = [letters[p] for p in wrongly_above(state["judged"], step["positive"], len(shown))]
    held = sorted({p for judged in wrong for p in judged.ranking})
    citable = dict(claims)
    for p in held:
        choice = Cited(step["candidates"][p], now, p == step["positive"])
        citable[letters[p]] = Claim("", (choice,), now, state["round"] + 1, state["best"])
    reply: Any = await ask(
        runtime.context,
        prompts.load("setwise/reflect_profile", setup.wording).render(
            claims=texts,
            sets=sets,
            chosen=letters[step["positive"]],
            words=config.profile_words,
            evidence=config.evidence,
        ),
        reflection_reply(tuple(citable) if config.evidence else ()),
        facts=Facts(
            "revise_profile",
            {
                "claims": texts,
                "options": {letters[p]: shown[p] for p in held},
                "chosen": letters[step["positive"]],
                "rejected": above,
                "words": config.profile_words,
                "evidence": config.evidence,
            },
        ),
        sampling=setup.sampling,
        draw=state["round"],
        agent=NAME,
    )
    found, dropped = admitted(written(reply), citable, evidence=config.evidence, step=now, round=state["round"] + 1)
    ordered, _ = faded(found, now, config.half_life, 0.0)
    kept, crowded = within(ordered, config.profile_words)
    return {
        "draft_claims": kept or state["claims"],
        "dropped": dropped,
        "crowded": crowded,
        "lesson": reply.lesson,
    }


async def reflect_items(setup: Setup, state: State, runtime: Runtime[Tools]) -> State:
    """The item path: the chosen item and every item ranked above it get new semantics, true to their facts."""
    step = state["steps"][state["step"]]
    positions = [step["positive"], *wrongly_above(state["judged"], step["positive"], len(step["candidates"]))]
    names = handles_for(len(positions))
    items = {h: step["candidates"][p] for h, p in zip(names, positions, strict=True)}
    shown = {
        h: {"facts": state["facts"][item], "text": described(item, state["facts"], state["semantics"])}
        for h, item in items.items()
    }
    texts = {
        handle: claim.text for handle, claim in zip(claim_handles(len(state["claims"])), state["claims"], strict=True)
    }
    words = setup.config.semantics_words
    reply = await ask(
        runtime.context,
        prompts.load("setwise/reflect_items", setup.wording).render(
            claims=texts, items=shown, chosen=names[0], words=words
        ),
        descriptions_reply(names),
        facts=Facts("revise_items", {"claims": texts, "items": shown, "chosen": names[0], "words": words}),
        sampling=setup.sampling,
        draw=state["round"],
        agent=NAME,
    )
    rewritten, settled = dict(state["semantics"]), state["settled"]
    for handle, item in items.items():
        if item in settled:
            continue
        text = capped(getattr(reply, handle), words)
        swung = settle(state["versions"].get(item, ()), text) if setup.config.settle else None
        rewritten[item] = text if swung is None else swung
        settled = settled if swung is None else settled | {item}
    return {"draft_semantics": rewritten, "draft_settled": settled}
