"""Tuning learns what is to be learnt, touches what it may, goes on where it was cut off, and says what it did."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recloop
import torch
from recloop.agents.chat.local.model import load_model
from recloop.agents.chat.local.scoring import score
from recloop.agents.tuning import TuneLM, find_question, tune_on
from recloop.agents.tuning.batches import loss_of, micro_batches, rows_of
from recloop.agents.tuning.samples import Sampler
from recloop.agents.tuning.training import rate
from recloop.errors import ConfigError, DataError
from safetensors.torch import load_file

from tests.agents.small_lm import made, sides


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("base") / "base")


def small(base: Path, **more: Any) -> TuneLM:
    given = {"samples": 48, "valid_samples": 24, "epochs": 3, "batch_size": 16, "micro_batch": 8, "warmup": 2}
    return TuneLM(model=base, **{**given, "learning_rate": 3e-3, **more})


def tuned(base: Path, out: Path, **more: Any) -> Any:
    train, valid, _ = sides()
    return tune_on(small(base, **more), train, valid, out, device="cpu")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    [file] = folder.glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_validation_loss_falls_and_what_is_kept_can_be_loaded(base: Path, tmp_path: Path, method: str) -> None:
    done = tuned(base, tmp_path / "out", method=method, learning_rate=2e-2 if method == "lora" else 3e-3)
    losses = [epoch["valid_loss"] for epoch in done.card["epochs"]]
    # Adapters on random weights have little to work with.
    assert min(losses) == done.card["valid_loss"] < losses[0] - (0.005 if method == "lora" else 0.02)
    folder, adapter = (tmp_path / "out", None) if method == "full" else (base, tmp_path / "out")
    model = load_model(folder, adapter, device="cpu")
    train, valid, _ = sides()
    config = small(base, method=method)
    rows = rows_of(model, list(Sampler(config, train, valid).draw(24, np.random.default_rng([0, 0]))))
    told = [loss_of(model, batch) for batch in micro_batches(rows, config, prompts=False)]
    again = sum(one.reported for one in told) / sum(one.count for one in told)
    assert again == pytest.approx(done.card["valid_loss"], abs=1e-4)


def test_lora_leaves_the_model_alone_and_is_small(base: Path, tmp_path: Path) -> None:
    before = (base / "model.safetensors").read_bytes()
    done = tuned(base, tmp_path / "out", epochs=1)
    assert (base / "model.safetensors").read_bytes() == before
    assert all("lora" in name for name in weights(tmp_path / "out"))
    assert done.card["weights"]["trained"] == 2 * 2 * 2 * 8 * 32, "2 layers x q and v x A and B of 8 x 32"


def test_the_loss_is_that_of_the_answers_tokens_alone(base: Path) -> None:
    model = load_model(base, device="cpu")
    train, _, _ = sides()
    samples = list(Sampler(small(base, tasks={"find": 1}), train).draw(5, np.random.default_rng(0)))
    [batch] = micro_batches(rows_of(model, samples), small(base))
    told = loss_of(model, batch)
    from recloop.agents.chat.likelihood import ScoringRequest

    scored = score(model, [ScoringRequest(sample.prompt, (sample.answer,)) for sample in samples])
    answers = sum(one.total for (one,) in scored)
    ends = [model.tokenizer.eos_token_id]
    assert told.count == sum(len(one.logprobs) for (one,) in scored) + len(ends) * len(samples)
    assert told.reported > -answers, "the end of the text is learnt, too"
    assert float(told.loss.detach()) == pytest.approx(told.reported, rel=1e-5)


def test_a_prompts_tokens_count_where_asked_for(base: Path) -> None:
    model = load_model(base, device="cpu")
    train, _, _ = sides()
    samples = list(Sampler(small(base), train).draw(6, np.random.default_rng(0)))
    rows = rows_of(model, samples)
    [plain], [with_prompt] = (micro_batches(rows, small(base, prompt_weight=weight)) for weight in (0.0, 0.5))
    assert loss_of(model, plain).reported == pytest.approx(loss_of(model, with_prompt).reported, rel=1e-4)
    assert set(with_prompt.weights.unique().tolist()) <= {0.0, 0.5, 1.0, 2.0, 4.0}
    assert float(with_prompt.weights.sum()) > float(plain.weights.sum())


def test_balanced_by_samples_a_yes_counts_as_much_as_a_long_title(base: Path) -> None:
    model = load_model(base, device="cpu")
    train, _, _ = sides()
    config = small(base, balance="sample", micro_batch=16, tasks={"find": 1, "judge": 1})
    rows = rows_of(model, list(Sampler(config, train).draw(12, np.random.default_rng(0))))
    lengths = {len(row.ids) - row.answer for row in rows}
    assert min(lengths) == 2 < 2 * min(lengths) < max(lengths), "an answer and the text's end; titles are longer"
    [batch] = micro_batches(rows, config)
    assert batch.weights.sum(1).tolist() == pytest.approx([1.0] * 12)
    alone = [loss_of(model, micro_batches([row], config)[0]).reported for row in rows]
    found = loss_of(model, batch)
    assert (found.reported / found.count) == pytest.approx(sum(alone) / 12, rel=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_in_bfloat16_it_learns_as_in_float32_and_keeps_float32(base: Path, tmp_path: Path, method: str) -> None:
    given = {"method": method, "epochs": 2, "balance": "sample"}
    plain = tuned(base, tmp_path / "plain", **given).card["valid_loss"]
    other = tuned(base, tmp_path / "half", **given, precision="bfloat16", attention="eager").card["valid_loss"]
    assert plain != other
    assert other == pytest.approx(plain, abs=0.03)
    assert {weight.dtype for weight in weights(tmp_path / "half").values()} == {torch.float32}


def test_an_attention_that_is_not_installed_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tune_lm\.attention: 'flash_attention_2' does not work"):
        tuned(base, tmp_path / "out", attention="flash_attention_2")


def test_padding_and_micro_batches_change_no_loss(base: Path) -> None:
    model = load_model(base, device="cpu")
    train, _, _ = sides()
    rows = rows_of(model, list(Sampler(small(base), train).draw(12, np.random.default_rng(0))))
    whole, single = (
        [loss_of(model, batch) for batch in micro_batches(rows, small(base, micro_batch=size, prompt_weight=0.3))]
        for size in (12, 1)
    )
    assert sum(one.reported for one in whole) == pytest.approx(sum(one.reported for one in single), rel=1e-5)
    assert sum(float(one.loss.detach()) for one in whole) == pytest.approx(
        sum(float(one.loss.detach()) for one in single), rel=1e-5
    )


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", ["lora", "full"])
def test_killed_and_resumed_is_as_never_killed(base: Path, tmp_path: Path, method: str) -> None:
    train, valid, _ = sides()
    config = small(base, method=method, lora_dropout=0.1)
    said: list[str] = []

    def kill(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise Killed

    with pytest.raises(Killed):
        tune_on(config, train, valid, tmp_path / "killed", device="cpu", say=kill)
    resumed = tune_on(config, train, valid, tmp_path / "killed", device="cpu", say=said.append)
    whole = tune_on(config, train, valid, tmp_path / "whole", device="cpu")
    assert len(said) == 3
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(tmp_path / "killed")[name]), name
    timeless = [[{**epoch, "seconds": 0} for epoch in done.card["epochs"]] for done in (resumed, whole)]
    assert timeless[0] == timeless[1]
    assert not (tmp_path / "killed" / "training").exists()


def test_a_finished_tuning_is_not_done_again_and_another_is_refused(base: Path, tmp_path: Path) -> None:
    first = tuned(base, tmp_path / "out", epochs=1)
    assert tuned(base, tmp_path / "out", epochs=1).card == first.card
    with pytest.raises(ConfigError, match="other data or with other settings"):
        tuned(base, tmp_path / "out", epochs=1, seed=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        tuned(base, tmp_path / "full")


def test_training_stops_where_validation_no_longer_gains(base: Path, tmp_path: Path) -> None:
    """Steps too small for float32 change nothing, and equal is not better."""
    done = tuned(base, tmp_path / "out", method="full", learning_rate=1e-30, epochs=8, patience=2)
    assert [epoch["epoch"] for epoch in done.card["epochs"]] == [1, 2, 3]
    assert done.card["best_epoch"] == 1


def test_the_card_says_what_the_model_was_made_of(base: Path, tmp_path: Path) -> None:
    done = tuned(base, tmp_path / "out", epochs=1)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    train, valid, _ = sides()
    assert card == done.card
    assert card["data"]["train"]["fingerprint"] == train.fingerprint
    assert card["data"]["valid"]["fingerprint"] == valid.fingerprint
    assert set(card["prompts"]) == {"tune_lm/find", "tune_lm/next", "tune_lm/judge"}
    assert {"torch", "transformers", "peft", "recloop"} <= set(card["versions"])
    page = (tmp_path / "out" / "card.md").read_text()
    assert f"epoch {card['best_epoch']}" in page
    assert train.fingerprint in page


def test_layers_that_do_not_exist_are_named(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no layer called 'query'"):
        tuned(base, tmp_path / "out", targets=("query",))


def test_a_sample_longer_than_the_model_is_refused(tmp_path: Path) -> None:
    short = made(tmp_path / "short", length=24)
    with pytest.raises(DataError, match="takes 24: lower window or history"):
        tuned(short, tmp_path / "out")


def test_the_rate_rises_then_falls_to_a_tenth() -> None:
    config = TuneLM(model="nowhere", warmup=10, learning_rate=1.0)
    rates = [rate(config, step, 100) for step in range(101)]
    assert rates[9] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0.1)
    assert all(math.isfinite(value) and value > 0 for value in rates)


def test_the_verb_reads_its_file_and_tunes(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "tune.yaml"
    file.write_text(
        "data: {source: bazaar, n_users: 40, n_items: 150}\n"
        f"tune_lm: {{model: {base}, samples: 16, valid_samples: 8, batch_size: 8, micro_batch: 8, epochs: 2}}\n"
    )
    said: list[str] = []
    done = recloop.tune_lm(file, tmp_path / "out", ["tune_lm.epochs=1"], device="cpu", progress=said.append)
    assert len(done.card["epochs"]) == len(said) == 1
    with pytest.raises(ConfigError, match="either data or windows"):
        recloop.tune_lm(file, tmp_path / "other", ["windows=somewhere"])
    with pytest.raises(ConfigError, match=r"no .*train_5000\.csv"):
        recloop.tune_lm(file, tmp_path / "other", ["windows=somewhere", "data=null"])


def test_settings_given_as_a_dict_are_tuned_with(base: Path, tmp_path: Path) -> None:
    small_batch = {"samples": 16, "valid_samples": 8, "batch_size": 8, "micro_batch": 8, "epochs": 2}
    values = {"data": {"source": "bazaar", "n_users": 40, "n_items": 150}, "tune_lm": {"model": base, **small_batch}}
    tuned_model = recloop.tune_lm(values, tmp_path / "out", ["tune_lm.epochs=1"], device="cpu")
    assert len(tuned_model.card["epochs"]) == 1
    with pytest.raises(ConfigError, match=r"^tune_lm: unknown key 'dta'; did you mean 'data'"):
        recloop.tune_lm({**values, "dta": {}}, tmp_path / "other")


def test_windows_with_planted_noise_are_learnt_from_without_their_mask(base: Path, tmp_path: Path) -> None:
    from recloop.agents.tuning.tune_lm import TuneLMFile, sides_of

    for mask in ("[0, 0, 0]", "[0, 1, 0]"):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for side in ("train_5000", "valid"):
            (folder / f"{side}.csv").write_text(
                "user_id,item_ids,mask,item_titles,replaced_item_titles,timestamp\n"
                f"1,\"[1, 2, 3]\",\"{mask}\",\"['Kite', 'Pot', 'Game']\",\"['x']\",7\n"
            )
    read = [sides_of(TuneLMFile(windows=folder, tune_lm=small(base))) for folder in sorted(tmp_path.iterdir())]
    assert read[0][0].fingerprint == read[1][0].fingerprint
    assert len(read[0][0]) == len(read[0][1]) == 3


def test_a_tuned_model_is_asked_as_it_was_taught(base: Path, tmp_path: Path) -> None:
    """Overfit on few windows: the planted title of one of them becomes the likeliest."""
    tuned(base, tmp_path / "out", method="full", tasks={"find": 1}, samples=64, epochs=1, learning_rate=1e-3, seed=0)
    model = load_model(tmp_path / "out", device="cpu")
    train, _, _ = sides()
    titles = train.items["title"][train.history(0)[:6]].tolist()
    ((*scores,),) = score(model, [find_question(titles)])
    assert len(scores) == 6
    assert all(math.isfinite(one.per_token) for one in scores)
