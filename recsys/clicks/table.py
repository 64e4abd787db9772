"""The click models by name."""

from __future__ import annotations

from typing import Any

from .autoint import AutoInt
from .dcn import DCN
from .dcnv2 import DCNv2
from .deepfm import DeepFM
from .din import DIN
from .fm import FM
from .logistic import Logistic
from .model import ClickModel
from .xdeepfm import XDeepFM

CLICK_MODELS: dict[str, type[ClickModel[Any]]] = {
    "logistic": Logistic,
    "fm": FM,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "dcn": DCN,
    "dcnv2": DCNv2,
    "autoint": AutoInt,
    "din": DIN,
}
