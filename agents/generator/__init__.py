"""The generator: proposes interactions for the long tail, grounds them in the catalogue, and adds them to the data."""

from .agent import Generator
from .config import Generate
from .evidence import ItemEvidence, evidence_of

__all__ = ["Generate", "Generator", "ItemEvidence", "evidence_of"]
