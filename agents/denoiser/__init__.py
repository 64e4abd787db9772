"""The denoiser: finds what does not belong into a user's sequence, and removes, replaces or down-weights it."""

from .agent import Denoiser
from .config import Denoise

__all__ = ["Denoise", "Denoiser"]
