"""The saved weights lie where the formula says, between start and end."""

import torch

from simgpt.train.averaging import average_weights


def test_every_weight_moves_to_its_share_of_the_way():
    start, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average_weights(model, before, share=0.8)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, 0.2 * before[name] + 0.8 * trained[name])


def test_a_share_of_one_keeps_the_trained_weights_bit_for_bit():
    start, model = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average_weights(model, start.state_dict(), share=1.0)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained[name])
