"""Two processes on loopback learn what one does: same losses, same weights, one writer, one verdict on when to stop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from recloop.errors import ConfigError
from recloop.recsys.data import DataConfig, load_split
from recloop.recsys.models import load
from recloop.recsys.serving import distributed
from recloop.recsys.training.loop import state
from recloop.recsys.training.processes import Processes

from tests.recsys.serving.trained_apart import fitted

pytestmark = pytest.mark.timeout(600)
HERE = Path(__file__).parent
SMALL = {"embedding_size": 8, "epochs": 3, "learning_rate": 0.02, "batch_size": 16, "patience": 2}
WINDOWS = {"max_length": 6, "dropout": 0.0, "batch_size": 13}
SETTINGS = {
    "bpr": SMALL,
    "lightgcn": SMALL,
    "gru4rec": SMALL | WINDOWS | {"hidden_size": 8},
    "sasrec": SMALL | WINDOWS | {"loss": "gbce", "negatives": 3},
    "bert4rec": SMALL | WINDOWS,
}


def torchrun(*command, processes=2):
    called = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    called += ["--nproc-per-node", str(processes), *map(str, command)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    pipe = subprocess.PIPE
    with subprocess.Popen(called, stdout=pipe, stderr=pipe, text=True, env=environment) as running:
        try:
            out, err = running.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            running.terminate()  # not kill: the launcher then ends the processes that it has started
            out, err = running.communicate(timeout=60)
    return subprocess.CompletedProcess(called, running.returncode, out, err)


def apart(name, settings, out, *kept):
    done = torchrun(HERE / "trained_apart.py", name, json.dumps(settings), out, *kept)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in (0, 1)]


def alike(told, learner):
    epochs = np.array([(e.loss, e.validation) for e in learner.log.epochs])
    np.testing.assert_allclose(np.array(told["epochs"]), epochs, rtol=2e-4, atol=1e-6)
    assert told["best"] == learner.log.best_epoch
    for name, value in state(learner.network).items():
        kept = np.ones(len(value), bool)
        if name.endswith("queries_keys_values.bias"):
            # A softmax does not see what all its logits share: the keys' bias has no gradient but rounding, which Adam
            # makes as large as any other.
            kept[len(value) // 3 : 2 * len(value) // 3] = False
        np.testing.assert_allclose(
            np.array(told["weights"][name])[kept], value[kept], rtol=2e-3, atol=2e-4, err_msg=name
        )


@pytest.mark.parametrize("name", ["sasrec"])
def test_two_processes_learn_what_one_does(name, tmp_path):
    both = apart(name, SETTINGS[name], tmp_path)
    assert [told["count"] for told in both] == [2, 2]
    assert both[0]["weights"] == both[1]["weights"]
    assert both[0]["epochs"] == both[1]["epochs"]
    assert [told["threads_left"] for told in both] == [[], []], "a thread of gloo's that is left may abort the process"
    alike(both[0], fitted(name, SETTINGS[name], None, Processes()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bpr", "lightgcn", "gru4rec", "bert4rec"])
def test_so_do_two_processes_with_every_other_network(name, tmp_path):
    test_two_processes_learn_what_one_does(name, tmp_path)


@pytest.mark.slow
def test_all_processes_stop_at_the_same_epoch_and_only_the_first_writes(tmp_path):
    settings = SETTINGS["gru4rec"] | {"epochs": 60, "learning_rate": 0.2}
    kept = tmp_path / "kept"
    both = apart("gru4rec", settings, tmp_path, kept)
    assert both[0]["epochs"] == both[1]["epochs"]
    assert both[0]["best"] == both[1]["best"]
    assert len(both[0]["epochs"]) == both[0]["best"] + settings["patience"] < settings["epochs"]
    assert sorted(p.name for p in kept.iterdir()) == ["training.json", "training.safetensors"]


@pytest.mark.slow
def test_a_training_of_two_processes_that_was_cut_off_goes_on(tmp_path):
    """Cut after the second of five epochs, by one process; gone on with by two, and at the end by one again."""
    settings = SETTINGS["gru4rec"] | {"epochs": 5, "patience": 5}
    kept = tmp_path / "kept"
    fitted("gru4rec", settings | {"epochs": 2}, kept, Processes())
    both = apart("gru4rec", settings, tmp_path, kept)
    whole = fitted("gru4rec", settings, None, Processes())
    for told in both:
        alike(told, whole)
    again = fitted("gru4rec", settings, kept, Processes())
    assert [(e.loss, e.validation) for e in again.log.epochs] == [tuple(e) for e in both[0]["epochs"]]


@pytest.mark.slow
def test_a_folder_of_another_training_stops_all_processes_with_one_line(tmp_path):
    file, folder = written(tmp_path, {"gru4rec": SETTINGS["gru4rec"]}), tmp_path / "out"
    distributed.train(distributed.read(file), folder, Processes(), "cpu")
    done = torchrun(
        "-m", "recloop.recsys.serving.distributed", written(tmp_path, {"gru4rec": SMALL}), "--folder", folder
    )
    assert done.returncode != 0
    assert done.stderr.count("error: ") >= 1
    assert "holds a training with other data" in done.stderr


@pytest.mark.slow
def test_the_command_trains_saves_and_says_what_it_is_worth(tmp_path):
    file, folder = written(tmp_path, {"sasrec": SETTINGS["sasrec"]}), tmp_path / "out"
    done = torchrun("-m", "recloop.recsys.serving.distributed", file, "--folder", folder)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)
    assert figures == json.loads((folder / "figures.json").read_text())
    assert (figures["processes"], figures["model"], figures["epochs"]) == (2, "sasrec", 3)
    split = load_split(DataConfig(n_users=60, n_items=120))
    scores = load(folder).score(np.arange(3, dtype=np.int32), split.train)
    assert scores.shape == (3, split.train.n_items)
    alone = distributed.train(distributed.read(file), tmp_path / "alone", Processes(), "cpu")
    assert figures["ndcg@10"] == pytest.approx(alone["ndcg@10"], abs=2e-3)


def written(folder, model, **more):
    file = folder / "training.yaml"
    file.write_text(
        yaml.safe_dump({"data": {"source": "bazaar", "n_users": 60, "n_items": 120}, "model": model} | more)
    )
    return file


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("ease", "ease trains no network"),
        ({"sasrec": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"sasrec": {}, "bpr": {}}, "name one model"),
    ],
)
def test_what_cannot_be_trained_is_refused(model, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        distributed.train(distributed.read(written(tmp_path, model)), tmp_path, Processes(), "cpu")


def test_an_unknown_key_of_the_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="epochs: Extra inputs"):
        distributed.read(written(tmp_path, "sasrec", epochs=3))


def test_a_network_that_cannot_be_parted_is_refused_by_several_processes():
    with pytest.raises(ConfigError, match="cannot be trained by several processes"):
        fitted("bpr", SMALL | {"lazy": True}, None, Processes(0, 2))
