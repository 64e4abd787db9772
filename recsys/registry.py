"""Names of the recommenders and where their classes are. No class is imported here, so listing names is fast."""

from __future__ import annotations

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
    "i2i": f"{_MODELS}.item_to_item:ItemToItem",
    "guided": "recloop.recsys.guidance.guided:Guided",
    **CLICK_MODELS,
}
"""Every recommender: name -> the class's address, which is imported when the model is first made. A plug-in is given by
such an address itself; wrappers (i2i, guided) make the model inside from this same table."""
