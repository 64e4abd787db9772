"""Whether the tests would notice: each mistake of a list is made in a copy of the package, and a test has to fail.

    python benchmarks/mutations.py [--group seams] [--only NAME] [--json]

A mistake is one replacement in one file; its text must stand there exactly once, so that a list that the code has left
behind is an error. The tests named beside it run in the copy; the first that fails is shown. The copy is thrown away.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (".git", ".venv", ".typing", "runs", "__pycache__", ".*_cache", "*.egg-info", "build")


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is written instead of what, where, and the tests that should notice."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


RECSYS = (
    Mistake(
        "a wrong loss: BPR with its sign turned",
        "recsys/training/losses.py",
        "-F.logsigmoid(positive - negative), weight)",
        "F.logsigmoid(positive - negative), weight)",
        ("tests/recsys/training/test_losses.py",),
    ),
    Mistake(
        "a wrong loss: gBCE without its exponent",
        "recsys/training/losses.py",
        "-(beta * F.logsigmoid(positive)",
        "-(F.logsigmoid(positive)",
        ("tests/recsys/training/test_losses.py",),
    ),
    Mistake(
        "no zero_grad: gradients of all steps add up",
        "recsys/training/loop.py",
        "optimizer.zero_grad(set_to_none=True)",
        "pass",
        ("tests/recsys/training/test_training.py",),
    ),
    Mistake(
        "negatives taken from another user",
        "recsys/training/batches.py",
        "users = users.astype(np.int64)\n        free",
        "users = np.roll(users.astype(np.int64), 1)\n        free",
        ("tests/recsys/training/test_batches.py",),
    ),
    Mistake(
        "BPR's negatives drawn for the next row's user",
        "recsys/models/bpr.py",
        "negatives.draw(user, rng)",
        "negatives.draw(np.roll(user, 1), rng)",
        ("tests/recsys/models/test_bpr.py",),
    ),
    Mistake(
        "BPR forgets its l2",
        "recsys/models/bpr.py",
        "weights) + config.l2 * norm",
        "weights)",
        ("tests/recsys/models/test_bpr.py",),
    ),
    Mistake(
        "weights ignored",
        "recsys/training/losses.py",
        "return (losses * weight).sum() / weight.sum().clamp_min(torch.finfo(losses.dtype).tiny)",
        "return losses.mean()",
        ("tests/recsys/training/test_losses.py",),
    ),
    Mistake(
        "attention that sees the future",
        "recsys/models/attention.py",
        "is_causal=self.causal",
        "is_causal=False",
        ("tests/recsys/models/test_sequence_models.py",),
    ),
    Mistake(
        "BERT4Rec's padding attended to",
        "recsys/models/attention.py",
        "mask = None if self.causal else real[:, None, None, :]",
        "mask = None",
        ("tests/recsys/models/test_sequence_models.py",),
    ),
    Mistake(
        "the target shown in the input",
        "recsys/models/sequence.py",
        "inputs, targets = seen.items[:, :-1].copy(), seen.items[:, 1:]",
        "inputs, targets = seen.items[:, 1:].copy(), seen.items[:, 1:]",
        ("tests/recsys/models/test_sequence_models.py",),
    ),
    Mistake(
        "trained on the validation side",
        "recsys/training/loop.py",
        "terms = learner.terms(network, train)",
        "terms = learner.terms(network, train if valid is None else together(train, valid))",
        ("tests/recsys/training/test_training.py", "tests/recsys/models/test_models_contract.py"),
    ),
    Mistake(
        "test items in training",
        "recsys/data/splits.py",
        "return Split(*(data.rows(side == number)",
        "return Split(*(data.rows((side == number) | ((side == TEST) & (number == TRAIN)))",
        ("tests/recsys/data/test_splits.py",),
    ),
    Mistake(
        "padding that has states",
        "recsys/models/sequence.py",
        "real = items != n\n",
        "real = items <= n\n",
        ("tests/recsys/models/test_sequence_models.py",),
    ),
    Mistake(
        "dropout left on while the validation side is ranked",
        "recsys/training/loop.py",
        "            whole.eval()\n",
        "",
        ("tests/recsys/training/test_training.py",),
    ),
    Mistake(
        "the loss of a part counted as if it were the whole batch's",
        "recsys/training/loop.py",
        "    return share * term.loss(",
        "    return term.loss(",
        ("tests/recsys/serving/test_distributed.py",),
    ),
    Mistake(
        "a part of a batch of windows counts by its windows",
        "recsys/models/sequence.py",
        "return mine, share(batch[by_target[1]], places)",
        "return mine, (rows.stop - rows.start) / max(len(targets), 1)",
        ("tests/recsys/training/test_parts.py",),
    ),
    Mistake(
        "gradients of two processes not added up",
        "recsys/training/loop.py",
        "        processes.add_up_gradients(network)\n",
        "",
        ("tests/recsys/serving/test_distributed.py",),
    ),
    Mistake(
        "lazy Adam without the correction of its bias",
        "recsys/training/lazy_adam.py",
        "alpha=-rate / (1 - FIRST**steps)",
        "alpha=-rate",
        ("tests/recsys/training/test_lazy_adam.py",),
    ),
    Mistake(
        "the last weights kept instead of the best",
        "recsys/training/progress.py",
        "if epoch.validation > self.best_validation:",
        "if True:",
        ("tests/recsys/training/test_training.py",),
    ),
    Mistake(
        "LightGCN's gradient passed on unpropagated",
        "recsys/models/lightgcn.py",
        "return None, ctx.graph @ gradients[0]",
        "return None, gradients[0]",
        ("tests/recsys/models/test_lightgcn.py",),
    ),
    Mistake(
        "ties broken in favour of the positive",
        "recsys/evaluation/ranking.py",
        "tied[some] = (top == own).sum(axis=1)",
        "tied[some] = 1",
        ("tests/recsys/evaluation/test_ranking.py",),
    ),
    Mistake(
        "seen items left in the ranking",
        "recsys/evaluation/ranking.py",
        "scores[seen_row, seen_item] = -np.inf",
        "pass",
        ("tests/recsys/evaluation/test_ranking.py",),
    ),
)

SEAMS = (
    Mistake(
        "a setting left out of what a result depends on",
        "identity.py",
        "if name not in without and not is_transport(kind, name)\n    }",
        'if name not in {*without, "max_tokens"} and not is_transport(kind, name)\n    }',
        ("tests/test_identity.py",),
    ),
    Mistake(
        "a file counts by its path",
        "identity.py",
        'return {"contents": contents_digest(value)}',
        "return str(value)",
        ("tests/test_identity.py",),
    ),
    Mistake(
        "a step's wordings left out of its identity",
        "simulators/studies/step_identity.py",
        '"prompts": wordings_of(name, study.prompts),',
        '"prompts": [],',
        (
            "tests/simulators/studies/test_run_identity.py::test_an_own_wording_names_another_run_folder_by_what_it_says_and_not_by_where_it_lies",
        ),
    ),
    Mistake(
        "the catalogue left out of what a refinement depends on",
        "simulators/refining/steps.py",
        ", self.parts.catalogue.fingerprint]",
        "]",
        ("tests/simulators/studies/test_run_identity.py::test_refine_sees_another_table_of_items_under_the_same_path",),
    ),
    Mistake(
        "the schema left out of a reply's key",
        "agents/chat/question.py",
        'schema = _spelled(request.schema) if request.schema is not None else "null"',
        'schema = "null"',
        ("tests/agents/chat/test_cached.py",),
    ),
    Mistake(
        "the draw left out of a reply's key",
        "agents/chat/question.py",
        "draw, logprobs = canonical(request.draw)",
        "draw, logprobs = canonical(0)",
        ("tests/agents/chat/test_cached.py",),
    ),
    Mistake(
        "values of a training taken from other code",
        "simulators/studies/grid.py",
        'code_digest("recsys", type(unfitted))',
        '""',
        (
            "tests/simulators/studies/test_run_identity.py::test_a_trained_cell_depends_on_defaults_protocol_threads_and_code",
        ),
    ),
    Mistake(
        "folds of a refinement taken from other code",
        "simulators/refining/steps.py",
        "digest([whole, about, code])",
        "digest([whole, about])",
        (
            "tests/simulators/studies/test_run_identity.py::test_refine_folds_anew_and_asks_nothing_where_the_code_has_changed",
        ),
    ),
    Mistake(
        "a training resumed with other data or settings",
        "recsys/training/progress.py",
        'if facts["identity"] != self.identity:',
        "if False:",
        ("tests/recsys/training/test_training.py",),
    ),
    Mistake(
        "records of another run resumed",
        "simulators/batch/manifest.py",
        "if difference is None:",
        "if True:",
        ("tests/simulators/batch/test_batch.py",),
    ),
    Mistake(
        "failed tasks not asked again on request",
        "simulators/batch/records.py",
        '(("failed", retry_failed),',
        '(("failed", False),',
        ("tests/simulators/batch/test_batch.py",),
    ),
    Mistake(
        "place in the history left out of the control",
        "recsys/controls/strata.py",
        "bins = place_bins(place, ratio)",
        "bins = np.zeros_like(place)",
        ("tests/recsys/test_controls.py::test_edit_and_control_are_balanced_in_popularity_place_and_activity",),
    ),
    Mistake(
        "user activity left out of the control",
        "recsys/controls/strata.py",
        "log_bins(raw.user_counts, ratio)[raw.user] *",
        "0 * log_bins(raw.user_counts, ratio)[raw.user] *",
        ("tests/recsys/test_controls.py::test_edit_and_control_are_balanced_in_popularity_place_and_activity",),
    ),
    Mistake(
        "popularity of edited rows matched by decile",
        "recsys/controls/strata.py",
        "rank_windows(cells(raw), raw.item_counts[raw.item], rng)",
        "rank_windows(cells(raw), raw.item_counts[raw.item], rng, len(raw) // 10)",
        ("tests/recsys/test_controls.py::test_edit_and_control_are_balanced_in_popularity_place_and_activity",),
    ),
    Mistake(
        "popularity of added items matched within a factor of two",
        "recsys/controls/strata.py",
        "TOLERANCE = 0.05",
        "TOLERANCE = 1.0",
        ("tests/recsys/test_controls.py::test_edit_and_control_are_balanced_in_popularity_place_and_activity",),
    ),
    Mistake(
        "one control for all training seeds",
        "simulators/studies/variants.py",
        "np.random.default_rng([seed, training_seed, place])",
        "np.random.default_rng([seed, 0, place])",
        ("tests/simulators/studies/test_variants.py",),
    ),
    Mistake(
        "facts_only not trained where agents wrote vectors",
        "simulators/studies/variants.py",
        "missing = bool({*controls} - {ORACLE}) and",
        "missing = False and",
        ("tests/simulators/studies/test_variants.py",),
    ),
    Mistake(
        "Holm without the correction",
        "recsys/evaluation/intervals.py",
        "values[order] * (len(order) - np.arange(len(order)))",
        "values[order]",
        ("tests/recsys/evaluation/test_comparison.py",),
    ),
    Mistake(
        "seeds not resampled with the users",
        "recsys/evaluation/intervals.py",
        "    if not resample_seeds:\n        table",
        "    if True:\n        table",
        ("tests/recsys/evaluation/test_comparison.py",),
    ),
    Mistake(
        "words of the verdict by the uncorrected p",
        "simulators/studies/report.py",
        'row["difference"] > 0 and row["p_holm"] <= ALPHA for row in comparisons',
        'row["difference"] > 0 and row["p"] <= ALPHA for row in comparisons',
        ("tests/simulators/studies/test_conclusions.py",),
    ),
    Mistake(
        "a verdict on a step without one usable record",
        "simulators/studies/run.py",
        "if summary.stopped or (summary.tasks and not summary.ok):",
        "if summary.stopped:",
        (
            "tests/simulators/studies/test_study_seams.py::test_a_server_that_answers_prose_alone_ends_a_run_with_nothing_learnt_and_nothing_trained",
        ),
    ),
    Mistake(
        "a likelihood's calls outside the account",
        "agents/chat/build.py",
        "chat = _with_retries(_metered(chat, config, meter, prices, config.model), config, limits)\n        return",
        "chat = _with_retries(chat, config, limits)\n        return",
        ("tests/agents/chat/test_served_likelihood.py",),
    ),
    Mistake(
        "an agent's likelihood opened without the study's account",
        "simulators/studies/step_tools.py",
        "build_likelihood, llm, cache=replies, meter=meter, limits=limits",
        "build_likelihood, llm.model_copy(update={'budget': type(llm.budget)()}), cache=replies",
        ("tests/simulators/studies/test_study_seams.py::test_likelihoods_of_a_study_count_against_its_budget",),
    ),
    Mistake(
        "a lost answer counts nothing",
        "agents/chat/metered.py",
        "            if error.spent:\n                meter.settle(reservation, request.agent, _lost",
        "            if False:\n                meter.settle(reservation, request.agent, _lost",
        ("tests/agents/chat/test_meter.py",),
    ),
    Mistake(
        "a wrapper ignores the limit of epochs",
        "recsys/models/wrapper.py",
        "settings = inner.with_epochs(before, default, most)",
        "settings = before",
        ("tests/recsys/models/test_train_config.py",),
    ),
    Mistake(
        "the search's limit of epochs ignored where the study names a number",
        "recsys/training/config.py",
        "epochs if most is None else min(epochs, most)",
        "epochs",
        ("tests/recsys/tuning/test_budgets.py",),
    ),
    Mistake(
        "agents handed train and validation",
        "simulators/studies/run.py",
        "_ask(study, split.train, watch",
        "_ask(study, split.train.with_(interactions=pd.concat([split.train.interactions, split.valid.interactions], "
        "ignore_index=True)), watch",
        (
            "tests/simulators/studies/test_study_seams.py::test_agents_read_train_alone_and_models_stop_on_validation_and_are_ranked_on_test",
        ),
    ),
    Mistake(
        "a model stopped on the test side",
        "simulators/studies/grid.py",
        "fitted.fit(train, split.valid, FitContext",
        "fitted.fit(train, split.test, FitContext",
        (
            "tests/simulators/studies/test_study_seams.py::test_agents_read_train_alone_and_models_stop_on_validation_and_are_ranked_on_test",
        ),
    ),
    Mistake(
        "a cut-off training read as whole",
        "simulators/studies/grid.py",
        "    if not training.facts.exists():\n        return None\n    try:",
        "    if not training.values.exists():\n        return None\n    try:",
        ("tests/simulators/studies/test_grid.py",),
    ),
)

GROUPS = {"recsys": RECSYS, "seams": SEAMS}


def copied(into: Path) -> Path:
    """A copy of the package and its tests, named so that it is imported instead of the installed one."""
    copy = into / "recloop"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    data = ROOT.parent / "shared"
    if data.is_dir():
        (into / "shared").symlink_to(data)
    return copy


def make(mistake: Mistake, copy: Path) -> None:
    """Writes the mistake. SystemExit where its text does not stand there exactly once."""
    text = (ROOT / mistake.file).read_text(encoding="utf-8")
    if text.count(mistake.right) != 1:
        raise SystemExit(f"{mistake.file}: {mistake.right!r} stands there {text.count(mistake.right)} times, not once")
    (copy / mistake.file).write_text(text.replace(mistake.right, mistake.wrong), encoding="utf-8")


def tested(copy: Path, tests: tuple[str, ...]) -> tuple[list[str], str]:
    """The tests that fail, and pytest's last line."""
    # The profile has no deadline: a busy machine would fail a property test that finds nothing wrong.
    quiet = ["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "--hypothesis-profile", "ci"]
    command = [sys.executable, "-m", "pytest", *quiet, *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=3600)
    failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\S+)", done.stdout, re.MULTILINE)
    return failed, done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", help="mistakes whose name holds this text")
    options.add_argument("--group", choices=GROUPS, help="mistakes inside recsys, or between the rooms of a study")
    options.add_argument("--json", action="store_true", help="a line of JSON each")
    given = options.parse_args()
    groups = [GROUPS[given.group]] if given.group else GROUPS.values()
    chosen = [mistake for group in groups for mistake in group if (given.only or "") in mistake.name]
    unseen = 0
    with tempfile.TemporaryDirectory() as name:
        copy = copied(Path(name))
        sound, last = tested(copy, tuple(dict.fromkeys(test for mistake in chosen for test in mistake.tests)))
        if sound:
            raise SystemExit(f"without any mistake {sound} fail already: {last}")
        for mistake in chosen:
            make(mistake, copy)
            failed, last = tested(copy, mistake.tests)
            shutil.copy(ROOT / mistake.file, copy / mistake.file)
            unseen += not failed
            if given.json:
                print(json.dumps({**asdict(mistake), "failed": failed, "pytest": last}), flush=True)
            else:
                print(
                    f"| {mistake.name} | `{mistake.file}` | {'`' + failed[0] + '`' if failed else 'NOT SEEN'} |",
                    flush=True,
                )
    print(f"{len(chosen) - unseen} of {len(chosen)} mistakes are noticed")
    sys.exit(bool(unseen))


if __name__ == "__main__":
    main()
