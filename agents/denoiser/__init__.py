"""The denoiser: finds items that do not belong into a user's sequence, and removes, replaces or down-weights them."""

from .agent import Denoiser
from .config import Denoise

__all__ = ["Denoise", "Denoiser"]
