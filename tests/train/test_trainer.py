"""The trainer: what is selected, what stops it, and passes that are repeated to save memory."""

import resource
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from simgpt.config import RunConfig
from simgpt.errors import SimgptError
from simgpt.evaluate.benchmarks import bundled_dev_task
from simgpt.evaluate.scores import TaskScore
from simgpt.evaluate.senteval import load_benchmarks, load_stsb
from simgpt.evaluate.tasks import TASK_NAMES, Subset, Task
from simgpt.train import model as model_module
from simgpt.train import run, selection, trainer
from simgpt.train.callbacks import tensorboard_log
from simgpt.train.model import TripletModel
from simgpt.train.run import build_model, train
from simgpt.train.selection import development_task, refuse_test_split
from simgpt.train.trainer import TripletTrainer
from tests.tiny import tiny_bert, tiny_roberta
from tests.train.support import (
    call,
    checkpoint_steps,
    config,
    furthest,
    log_rows,
    same,
    settings,
    weights,
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other crawl where others want their cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trainer")


@pytest.fixture(scope="module")
def bert(folder):
    return tiny_bert(folder / "bert")


@pytest.fixture(scope="module")
def roberta(folder):
    return tiny_roberta(folder / "roberta", mlm=True)


@pytest.fixture
def few_pairs(monkeypatch):
    """Ten pairs to select on."""
    pairs = bundled_dev_task().subsets[0]
    few = Subset("few", pairs.left[:10], pairs.right[:10], pairs.gold[:10])
    task = Task("bundled_dev", [few], "plain", "0" * 64)
    monkeypatch.setattr(run, "development_task", lambda cfg: task)
    return task


@pytest.fixture
def scored(monkeypatch, few_pairs):
    """Let the development scores be these; returns the weights that got each."""

    def score(values):
        seen, left = [], iter(values)

        def score_tasks(encoder, tasks):
            seen.append({n: p.detach().clone() for n, p in encoder.state_dict().items()})
            (task,) = tasks
            return {task.name: TaskScore(next(left), {}, {}, task.pairs, "")}

        monkeypatch.setattr(trainer, "score_tasks", score_tasks)
        return seen

    return score


@pytest.mark.parametrize(
    ("eval_steps", "values", "best"),
    [
        pytest.param(1, [0.1, 0.3, 0.3, 0.2, 0.1, 0.3], 1, id="of equal ones the earlier"),
        pytest.param(1, [-0.3, -0.2, -0.4, -0.2, -0.5, -0.6], 1, id="also below zero"),
        pytest.param(4, [0.1, 0.3], 1, id="the one after the last step counts"),
        pytest.param(4, [0.3, 0.1], 0, id="not simply the last"),
        pytest.param(100, [0.1], 0, id="the only one"),
    ],
)
def test_the_weights_with_the_best_score_are_exported(
    eval_steps, values, best, scored, bert, tmp_path
):
    from simgpt.encoder import load_encoder

    seen = scored(values)
    train(config(tmp_path, backbone=bert, eval_steps=eval_steps), tmp_path / "run")
    assert len(seen) == len(values)
    exported = load_encoder(str(tmp_path / "run")).state_dict()
    exported = {name: tensor.cpu() for name, tensor in exported.items()}
    assert [same(exported, weights) for weights in seen] == [n == best for n in range(len(values))]


def test_only_development_sentences_are_encoded(few_pairs, bert, tmp_path, monkeypatch):
    from simgpt.evaluate import encoding

    real, encoded = encoding.token_ids, []

    def token_ids(scorer, sentences):
        encoded.append(list(sentences))
        return real(scorer, sentences)

    monkeypatch.setattr(encoding, "token_ids", token_ids)
    train(config(tmp_path, backbone=bert, eval_steps=2), tmp_path / "run")
    (subset,) = few_pairs.subsets
    assert len(encoded) == 3
    for sentences in encoded:
        assert sorted(sentences) == sorted({*subset.left, *subset.right})


def test_the_seven_test_sets_are_refused_and_the_development_sets_are_not(toy_senteval):
    tasks = load_benchmarks(toy_senteval)
    assert {task.name for task in tasks} == set(TASK_NAMES)
    for task in tasks:
        with pytest.raises(SimgptError, match=f"^{task.name} is a test set; .*bundled, stsb_dev"):
            refuse_test_split(task)
        with pytest.raises(SimgptError, match=f"^{task.name} is a test set"):
            TripletTrainer(model=None, development=task)
    for task in (bundled_dev_task(), load_stsb(toy_senteval, "dev")):
        refuse_test_split(task)


def test_the_selector_takes_stsb_where_it_is_and_the_bundled_pairs_where_the_hub_is_out_of_reach(
    toy_senteval, tmp_path, monkeypatch, caplog
):
    stsb = RunConfig.from_params({"selector": "stsb_dev", "benchmarks": str(toy_senteval)})
    assert development_task(stsb).name == "stsb_dev"
    assert development_task(RunConfig.from_params({"selector": "bundled"})).name == "bundled_dev"
    assert caplog.records == []

    def unreachable(*args, **kwargs):
        raise ConnectionError("no network here")

    monkeypatch.delenv("SIMGPT_SENTEVAL", raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    auto = RunConfig.from_params({"selector": "stsb_dev", "benchmarks": "auto"})
    assert development_task(auto).name == "bundled_dev"
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert "the bundled development pairs pick the checkpoint instead" in warning
    assert selection.logger.name in {record.name for record in caplog.records}


def spoil(monkeypatch, *, step, how):
    """In this step, let `how` make something of the loss's outputs."""
    real, calls = TripletModel.forward, [0]

    def forward(self, **rows):
        calls[0] += 1
        outputs = real(self, **rows)
        return how(self, outputs) if calls[0] == step else outputs

    monkeypatch.setattr(TripletModel, "forward", forward)


def loss_of_nan(model, outputs):
    return outputs | {"loss": outputs["loss"] * float("nan"), "contrastive": torch.tensor(3.25)}


def gradient_of_nan(model, outputs):
    """The loss is fine; going back through the square root at zero is not."""
    zero = (outputs["loss"] - outputs["loss"].detach()).abs()
    return outputs | {"loss": outputs["loss"] + zero.sqrt() * 0}


@pytest.mark.parametrize(
    ("how", "step", "told"),
    [
        (loss_of_nan, 3, r"^step 3: the loss is not finite \(loss nan, contrastive 3\.25\)"),
        (gradient_of_nan, 2, r"^step 2: the weights are not finite \(encoder"),
    ],
)
def test_numbers_that_are_not_finite_stop_the_run_and_are_in_no_checkpoint(
    how, step, told, few_pairs, bert, tmp_path, monkeypatch
):
    cfg = config(tmp_path, backbone=bert)
    spoil(monkeypatch, step=step, how=how)
    with pytest.raises(SimgptError, match=told) as error:
        train(cfg, tmp_path / "run")
    assert "the last good checkpoint is kept. Lower learning_rate" in str(error.value)
    assert checkpoint_steps(tmp_path / "run")[-1] == (2 if how is loss_of_nan else 1)
    monkeypatch.undo()
    monkeypatch.setattr(run, "development_task", lambda cfg: few_pairs)
    train(cfg, tmp_path / "run")
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "run").values())


def test_a_learning_rate_beyond_all_bounds_is_one_sentence(few_pairs, bert, tmp_path):
    cfg = config(tmp_path, backbone=bert, learning_rate=1e30)
    with pytest.raises(SimgptError, match=r"^step [12]: .*; training stopped, the last good"):
        train(cfg, tmp_path / "run")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, "out of memory at 8 triplets a forward pass; set mini_batch_size=4"),
        ({"mini_batch_size": 3}, "at 3 triplets a forward pass; set mini_batch_size=1"),
        ({"mini_batch_size": 1}, "lower max_tokens or take a smaller backbone"),
    ],
)
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")]
)
def test_without_memory_the_sentence_says_which_setting_halves_it(
    error, more, told, few_pairs, bert, tmp_path, monkeypatch
):
    def forward(self, **rows):
        raise error

    monkeypatch.setattr(TripletModel, "forward", forward)
    with pytest.raises(SimgptError, match=told):
        train(config(tmp_path, backbone=bert, **more), tmp_path / "run")


def test_other_errors_of_the_library_are_not_taken_for_those(
    few_pairs, bert, tmp_path, monkeypatch
):
    def forward(self, **rows):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(TripletModel, "forward", forward)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        train(config(tmp_path, backbone=bert), tmp_path / "run")


def test_the_log_holds_each_part_of_the_loss_and_their_weighted_sum(few_pairs, roberta, tmp_path):
    more = {"contrastive_weight": 0.25, "energy_weight": 5, "mlm_weight": 0.1}
    train(config(tmp_path, backbone=roberta, **more), tmp_path / "run")
    rows = [row for row in log_rows(tmp_path / "run") if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        parts = 0.25 * (row["contrastive"] + 5 * row["energy"]) + 0.1 * row["mlm"]
        assert row["loss"] == pytest.approx(parts, rel=1e-5)


CASES = {
    "own negatives weighed": ("bert", {"hard_negative_weight": 0.8}),
    "energy": ("bert", {"energy_weight": 5, "contrastive_weight": 0.25}),
    "masked words": ("roberta", {"mlm_weight": 0.1, "mlm_rate": 0.3}),
    "a prefix": ("roberta", {"prefix_tokens": 3, "mlm_weight": 0.1, "energy_weight": 5}),
}


def batch(model, folder, count=8):
    from simgpt.train.data import Collator
    from simgpt.triplets import TEXTS, read_triplets

    path = settings(folder, backbone="")["triplets"]
    rows = [dict(zip(TEXTS, t.texts, strict=True)) for t in read_triplets(Path(path))]
    return Collator(model.encoder.tokenizer, max_tokens=16, columns=3)(rows[:count])


def loss_and_gradients(model, rows):
    torch.manual_seed(11)
    model.zero_grad()
    outputs = model(**rows)
    outputs["loss"].backward()
    return (
        {name: value.item() for name, value in outputs.items()},
        {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad},
    )


@pytest.fixture(params=CASES)
def built(request, folder, bert, roberta):
    """A model of each objective, with a way to have it again in other passes."""
    backbone, more = CASES[request.param]
    given = partial(config, folder, backbone={"bert": bert, "roberta": roberta}[backbone])

    def build(**passes):
        return build_model(given(**more, **passes))

    return build


def assert_alike(found, expected):
    assert found[0] == pytest.approx(expected[0], abs=1e-5)
    assert max(gradient.abs().max() for gradient in expected[1].values()) > 0.1
    scale = max(gradient.abs().max().item() for gradient in expected[1].values())
    assert furthest(found[1], expected[1]) < 1e-5 * max(1.0, scale)


@pytest.mark.parametrize("size", [1, 3, 8])
def test_repeated_passes_change_neither_loss_nor_gradients(built, folder, size):
    plain, cached = built(), built(mini_batch_size=size)
    for model in (plain, cached):
        model.eval()  # without dropout, whose masks go by chunks
    rows = batch(plain, folder)
    assert_alike(loss_and_gradients(cached, rows), loss_and_gradients(plain, rows))


def test_a_repeated_pass_meets_the_dropout_of_the_first(built, folder, monkeypatch):
    model = built(mini_batch_size=3).train()
    rows = batch(model, folder)
    cached = loss_and_gradients(model, rows)
    real = model_module.run_chunks
    monkeypatch.setattr(
        model_module, "run_chunks", lambda *args, recompute: real(*args, recompute=False)
    )
    once = loss_and_gradients(model, rows)
    assert_alike(cached, once)
    model.eval()
    assert loss_and_gradients(model, rows)[0] != pytest.approx(once[0], abs=1e-3)


def growth_of_a_step(folder, size):
    """What the process grows by in a step of 96 triplets, in kB (on a Mac, in bytes)."""
    model = build_model(config(folder, backbone="bundled", mini_batch_size=size, pooling="auto"))
    rows = batch(model, folder, 24)
    rows = {name: tensor.repeat(4, 1) for name, tensor in rows.items()}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss_and_gradients(model, rows)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_small_passes_take_less_memory(folder):
    """Coarse, and with the bundled encoder: the gradients of the tiny ones are as large."""
    config(folder, backbone="bundled")
    (plain,), (cached,) = (call(partial(growth_of_a_step, folder, n), folder) for n in (0, 4))
    assert cached < 0.7 * plain, (cached, plain)


def test_tensorboard_that_is_not_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SimgptError, match="pip install tensorboard"):
        tensorboard_log(tmp_path)
