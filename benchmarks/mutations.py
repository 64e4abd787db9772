"""Whether the tests would notice: each mistake of a list is made in a copy of the package, and a test has to fail.

    python benchmarks/mutations.py [--only NAME] [--json]

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


MISTAKES = (
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
        "            network.eval()\n",
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
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=900)
    failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\S+)", done.stdout, re.MULTILINE)
    return failed, done.stdout.strip().rpartition("\n")[2]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", help="mistakes whose name holds this text")
    options.add_argument("--json", action="store_true", help="a line of JSON each")
    told = options.parse_args()
    chosen = [mistake for mistake in MISTAKES if (told.only or "") in mistake.name]
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
            if told.json:
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
