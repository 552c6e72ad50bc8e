"""Average trained weights with the ones that training started from."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def average_weights(model: nn.Module, start: Mapping[str, Tensor], *, share: float) -> None:
    r"""Move `model`'s weights to :math:`(1 - \alpha)\,\theta_{start} + \alpha\,\theta_{trained}`.

    Fine-tuning makes an encoder better at what its triplets show and can make it worse at the
    rest; a point on the way keeps more of both (Wortsman et al., 2022, "WiSE-FT"). It costs
    nothing when the encoder is used.

    Args:
        model: Holds the trained weights; changed in place.
        start: State dictionary from before training, same names and shapes.
        share: The share :math:`\alpha` of the trained weights, from 0 to 1.
    """
    with torch.no_grad():
        for name, trained in model.state_dict().items():
            if trained.is_floating_point():
                trained.copy_(torch.lerp(start[name].to(trained), trained, share))
