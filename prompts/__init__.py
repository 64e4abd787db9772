"""The wording of every prompt, one Markdown file a step, and its loader."""

from .library import Prompt, Rendered, digests, load, names

__all__ = ["Prompt", "Rendered", "digests", "load", "names"]
