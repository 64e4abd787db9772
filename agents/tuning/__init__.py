"""Fine-tuning of a language model on the train side's sequences: prompts, samples, training, model card."""

from .config import TuneLM
from .tune_lm import TuneLMFile, tune_lm
from .tune_on import Tuned, tune_on
from .wording import doubt_question, find_question, next_doubts, next_prompt, next_questions, taste_question, written

__all__ = [
    "TuneLM",
    "TuneLMFile",
    "Tuned",
    "doubt_question",
    "find_question",
    "next_doubts",
    "next_prompt",
    "next_questions",
    "taste_question",
    "tune_lm",
    "tune_on",
    "written",
]
