"""Several processes that gather their rows train exactly as one process with the whole batch.

Real processes, joined by gloo over the loopback device, each with its share of eight triplets.
"""

import os
from datetime import timedelta
from functools import partial

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from simgpt.train.objectives import energy_hinge_loss, gather_across_ranks, simcse_loss
from tests.train.support import LIMIT_S, call, loopback

TRIPLETS, DIM, FEATURES = 8, 5, 7
WORLDS = (4, 2)
EXACT = {"atol": 1e-9, "rtol": 0}


def build_layer():
    with torch.random.fork_rng():
        torch.manual_seed(32)
        return nn.Linear(FEATURES, DIM, dtype=torch.float64)


def features():
    """What the layer reads, shape (triplets, 3, features): the same in every process."""
    draw = torch.Generator().manual_seed(7)
    return torch.randn(TRIPLETS, 3, FEATURES, dtype=torch.float64, generator=draw)


def total_loss(anchors, positives, negatives):
    contrastive = simcse_loss(anchors, positives, negatives, hard_negative_weight=0.8)
    return contrastive + 5 * energy_hinge_loss(anchors, positives, negatives)


def gather_as_the_reference_does(rows):
    """What the papers' code does: live own rows among dead foreign ones, no multiplication."""
    gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, rows.detach().contiguous())
    gathered[dist.get_rank()] = rows
    return torch.cat(gathered)


def step(layer, inputs, gather):
    """One pass forward and backward, all three columns in one go, as the trainers do."""
    layer.zero_grad()
    gathered = [gather(rows) for rows in layer(inputs).unbind(dim=1)]
    loss = total_loss(*gathered)
    loss.backward()
    gradient = torch.cat([weights.grad.flatten() for weights in layer.parameters()])
    return {
        "rows": torch.stack(gathered, dim=1).detach(),
        "loss": loss.item(),
        "gradient": gradient.clone(),
    }


def run_rank(folder):
    """Be one of four processes, then the first two be a group of two: starting costs seconds."""
    os.environ["GLOO_SOCKET_IFNAME"] = loopback()
    rank = int(os.environ["RANK"])
    return {world: run_in_group(rank, world, folder) for world in WORLDS if rank < world}


def run_in_group(rank, world, folder):
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / f'meeting-point-{world}'}",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=LIMIT_S),
    )
    layer = DistributedDataParallel(build_layer())
    mine = features().chunk(world)[rank]
    results = {
        "ours": step(layer, mine, gather_across_ranks),
        "reference": step(layer, mine, gather_as_the_reference_does),
    }
    dist.barrier()
    dist.destroy_process_group()
    return results


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What every rank found. An error in one process, or a hang, is an error here."""
    folder = tmp_path_factory.mktemp("ranks")
    environments = [{"RANK": str(rank)} for rank in range(max(WORLDS))]
    return call(partial(run_rank, folder), folder, environments)


@pytest.fixture(params=WORLDS)
def processes(request, ranks):
    """The results of two processes with four triplets each, or of four with two."""
    return [found[request.param] for found in ranks[: request.param]]


@pytest.fixture(scope="module")
def one_process():
    return step(build_layer(), features(), gather=lambda rows: rows)


def test_every_process_holds_the_whole_batch_in_rank_order(processes, one_process):
    for rank in processes:
        torch.testing.assert_close(rank["ours"]["rows"], one_process["rows"], **EXACT)


def test_every_process_computes_the_loss_of_the_whole_batch(processes, one_process):
    for rank in processes:
        assert rank["ours"]["loss"] == pytest.approx(one_process["loss"], abs=1e-9, rel=0)


def test_a_share_of_the_batch_alone_has_another_loss(one_process):
    """Without this, the equality above would say nothing about gathering."""
    for share in (*features().chunk(2), *features().chunk(4)):
        alone = step(build_layer(), share, gather=lambda rows: rows)
        assert abs(alone["loss"] - one_process["loss"]) > 0.01


def test_the_averaged_gradient_is_that_of_one_process(processes, one_process):
    assert one_process["gradient"].abs().max() > 0.1
    for rank in processes:
        torch.testing.assert_close(rank["ours"]["gradient"], one_process["gradient"], **EXACT)


def test_plain_gathering_divides_the_gradient_by_the_number_of_processes(processes, one_process):
    """The papers' scale, which `contrastive_weight` brings back: 1/2 on two, 1/4 on four."""
    for rank in processes:
        plain = rank["reference"]
        assert plain["loss"] == pytest.approx(one_process["loss"], abs=1e-9, rel=0)
        torch.testing.assert_close(
            plain["gradient"] * len(processes), one_process["gradient"], **EXACT
        )


def test_without_a_process_group_the_rows_are_handed_back_themselves():
    rows = torch.ones(2, 3, requires_grad=True)
    assert gather_across_ranks(rows) is rows
