"""A language model made from nothing: a Llama of a few hundred thousand weights and a tokenizer of its own.

For tests and benchmarks where no weights can be downloaded. It knows no language but the texts its tokenizer was made
of, and answers at random until it is trained in full (`method: full`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from recloop import prompts
from recloop.agents.tuning.wording import END, PROMPTS, written
from recloop.errors import ConfigError
from recloop.recsys.data.dataset import Dataset

_SPECIAL = ("<pad>", "<s>", "</s>")
_WORDS_OF_PROMPTS = 100
"""How often a prompt's words count for the tokenizer: they stand in every sample."""


def make_small_model(
    folder: Path | str,
    texts: Iterable[str],
    *,
    vocabulary: int = 1200,
    hidden_size: int = 128,
    feed_forward: int = 256,
    layers: int = 3,
    heads: int = 4,
    length: int = 512,
    whole_lines: bool = False,
    seed: int = 0,
) -> Path:
    """Writes a Llama with random weights and a byte-level BPE tokenizer over `texts` into `folder`; gives the folder.

    vocabulary: most tokens; 259 of them are the bytes and the three special ones. length: most tokens of a text.
    whole_lines: tokens may span words, so that a frequent title becomes one token, line's end and all: texts are four
    times shorter, and a title shares nothing with others but what the data says of it.
    No chat template: prompts are shown as they stand. The same texts and numbers give the same files. ConfigError where
    the folder holds a model already.
    """
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise ConfigError(f"{folder} holds a model already; name a new folder")
    tokenizer = _tokenizer(list(texts), vocabulary, whole_lines)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=length,
        # transformers' .02 is meant for thousands of numbers a token; so narrow a model would hardly begin to learn.
        initializer_range=hidden_size**-0.5,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        network = LlamaForCausalLM(config)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def texts_of(train: Dataset) -> list[str]:
    """What a tokenizer for this data is made of: train's titles as often as they were taken, and the prompts."""
    titles = [written(title) for title in train.items["title"]]
    counts = train.item_counts.tolist()
    words = [prompts.load(name).render(titles=["."], candidate=".") for name in PROMPTS.values()]
    texts = [text for rendered in words for text in (rendered.system, rendered.user, "Answer:", "Yes", "No")]
    return [
        *(title + END for title, count in zip(titles, counts, strict=True) for _ in range(count)),
        *(texts * _WORDS_OF_PROMPTS),
    ]


def _tokenizer(texts: list[str], vocabulary: int, whole_lines: bool) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not whole_lines)
    lines = pre_tokenizers.Split(Regex("\n"), "merged_with_previous")
    made.pre_tokenizer = pre_tokenizers.Sequence([lines, words]) if whole_lines else words
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
