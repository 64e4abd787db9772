"""The wording of every prompt, one Markdown file a step, and its loader."""

from .library import Prompt, Rendered, check_folder, digests, load, names

__all__ = ["Prompt", "Rendered", "check_folder", "digests", "load", "names"]
