"""TensorBoard and MLflow see every epoch once; off, nothing is imported; missing, the remedy is named."""

import subprocess
import sys

import pytest
from recloop.errors import ConfigError
from recloop.recsys.models import FitContext, model
from recloop.recsys.models.contract import two_tastes

SMALL = {"embedding_size": 4, "batch_size": 64}


def fitted(folder, *track, epochs=3, **settings):
    split = two_tastes()
    learner = model("bpr", **SMALL, epochs=epochs, **settings)
    learner.fit(split.train, split.valid, FitContext(folder=folder, track=track))
    return learner.log


def test_tensorboard_gets_the_losses_and_what_validation_was_worth(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = fitted(tmp_path, "tensorboard", evaluate_every=2)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    losses = [(e.step, e.value) for e in events.Scalars("training/loss")]
    assert losses == [(e.epoch, pytest.approx(e.loss, rel=1e-5)) for e in log.epochs]
    figures = [(e.step, e.value) for e in events.Scalars("training/validation")]
    assert figures == [(e.epoch, pytest.approx(e.validation, rel=1e-5)) for e in log.epochs[1:]]


def test_mlflow_gets_one_run_that_a_resumed_training_goes_on_with(tmp_path, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    fitted(tmp_path, "mlflow", epochs=2)
    log = fitted(tmp_path, "mlflow", epochs=4)
    client = MlflowClient((tmp_path / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("recloop").experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.params["model"], run.data.params["batch_size"]) == ("bpr", "64")
    told = client.get_metric_history(run.info.run_id, "training.loss")
    assert [(m.step, m.value) for m in told] == [(e.epoch, pytest.approx(e.loss)) for e in log.epochs]


def test_a_training_that_fails_closes_what_watches_it(tmp_path, monkeypatch):
    from recloop.recsys.training import tracking

    closed = []
    monkeypatch.setattr(tracking.TensorBoard, "close", lambda self: closed.append(1))
    with pytest.raises(ConfigError, match="lower learning_rate"):
        fitted(tmp_path, "tensorboard", learning_rate=1e38)
    assert closed == [1]


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_tracker_that_is_not_installed_names_its_extra(name, tmp_path, monkeypatch):
    for module in ("tensorboard", "torch.utils.tensorboard", "mlflow", "mlflow.tracking"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'recloop\[{name}\]'"):
        fitted(tmp_path, name)


def test_an_unknown_tracker_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no tracker 'wandb'; there are tensorboard, mlflow"):
        fitted(tmp_path, "wandb")
    with pytest.raises(ConfigError, match="tensorboard needs a folder"):
        fitted(None, "tensorboard")


def test_neither_is_imported_unless_it_is_switched_on():
    told = (
        "import sys, recloop.recsys.training.loop; sys.exit(bool({'tensorboard', 'mlflow'} & "
        "{name.split('.')[0] for name in sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", told], check=False, timeout=60).returncode == 0
