"""Names of recommenders and of loss terms, and where their classes are.

No class is imported until one is made, so listing the names is fast, and a wrapper (a model with another model inside)
makes the model inside from the same table without an import cycle.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ..errors import ConfigError

_MODELS, _CLICKS = "recloop.recsys.models", "recloop.recsys.clicks"

CLICK_MODELS = {
    "logistic": f"{_CLICKS}.logistic:Logistic",
    "fm": f"{_CLICKS}.fm:FM",
    "deepfm": f"{_CLICKS}.deepfm:DeepFM",
    "xdeepfm": f"{_CLICKS}.xdeepfm:XDeepFM",
    "dcn": f"{_CLICKS}.dcn:DCN",
    "dcnv2": f"{_CLICKS}.dcnv2:DCNv2",
    "autoint": f"{_CLICKS}.autoint:AutoInt",
    "din": f"{_CLICKS}.din:DIN",
}
"""Models that predict clicks: name -> the class's address."""

MODELS = {
    "popularity": f"{_MODELS}.popularity:Popularity",
    "itemknn": f"{_MODELS}.itemknn:ItemKNN",
    "swing": f"{_MODELS}.swing:Swing",
    "ease": f"{_MODELS}.ease:EASE",
    "ials": f"{_MODELS}.ials:IALS",
    "bpr": f"{_MODELS}.bpr:BPR",
    "lightgcn": f"{_MODELS}.lightgcn:LightGCN",
    "youtubednn": f"{_MODELS}.youtubednn:YoutubeDNN",
    "gru4rec": f"{_MODELS}.gru4rec:GRU4Rec",
    "sasrec": f"{_MODELS}.sasrec:SASRec",
    "bert4rec": f"{_MODELS}.bert4rec:BERT4Rec",
    "robust_gru4rec": "recloop.recsys.denoising.robust:RobustGRU4Rec",
    "robust_sasrec": "recloop.recsys.denoising.robust:RobustSASRec",
    "i2i": f"{_MODELS}.item_to_item:ItemToItem",
    "guided": "recloop.recsys.guidance.guided:Guided",
    **CLICK_MODELS,
}
"""Every recommender: name -> the class's address, which is imported when the model is first made. A plug-in is given by
such an address itself; wrappers (i2i, guided) make the model inside from this same table."""


TERMS = {
    "guidance": "recloop.recsys.guidance.loss_term:GuidanceTerm",
}
"""Loss terms that a network takes beside its own (`terms` of its hyperparameters): name -> the class's address."""


def class_of(name: str, table: Mapping[str, str], noun: str, base: type[BaseModel]) -> type[Any]:
    """The class of a name of `table` or of "package.module:Class", which has a `Config` derived from `base`.

    noun: what such a class is called in messages. Raises ConfigError for an unknown name, naming the nearest, and for
    an address that holds no such class.
    """
    module, colon, attribute = table.get(name, name).partition(":")
    if not colon:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(table)}"
        raise ConfigError(f'{noun} {name!r} is not known; {hint} A class of your own is named "package.module:Class"')
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{noun} {name!r} cannot be imported: {error}") from error
    config = getattr(kind, "Config", None)
    if not (isinstance(kind, type) and isinstance(config, type) and issubclass(config, base)):
        raise ConfigError(
            f"{noun} {name!r} cannot be used: it is not a class with a `Config` that derives from "
            f"{base.__module__}.{base.__name__} (see docs/plug-ins.md)"
        )
    return kind
