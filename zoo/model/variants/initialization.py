"""How weights begin, and what follows from it for learning rates and logits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from zoo.checks import require
from zoo.model.parameter_roles import count_inputs, parameter_roles


@dataclass(frozen=True)
class Initialization:
    """How matrices, tables of embeddings and the matrix of an untied head begin; biases begin at zero.

    Outputs are the matrices whose results join the residual stream.

    - ``normal``: all normal with ``std`` (Radford et al. 2018).
    - ``gpt2``: as ``normal``, outputs divided by the root of the number of sublayers in their stack (Radford et al.
      2019).
    - ``xavier``: uniform with variance 2 / (inputs + outputs), tables normal with variance 1 / width (Glorot and Bengio
      2010; Vaswani et al. 2017).
    - ``small``: all normal with variance 2 / (5 dim) (Nguyen and Salazar 2019, arXiv:1910.05895), outputs with standard
      deviation 2 / (layers * sqrt(dim)) (Wang and Komatsuzaki 2021), as in GPT-NeoX (arXiv:2204.06745).
    - ``scaled``: normal with variance 1 / inputs, cut off at three standard deviations, tables with variance 1 / width;
      outputs of layer l, from 1, divided by sqrt(2 l) (Zhang et al. 2019, arXiv:1908.11365, as in OLMo,
      arXiv:2402.00838).
    - ``mup``: matrices normal with ``std * sqrt(base_dim / inputs)`` and a learning rate multiplied with
      ``base_dim / inputs``; tables and an untied head normal with ``std``; logits multiplied with
      ``base_dim / inputs`` of the head's matrix (Yang et al. 2022, arXiv:2203.03466, for Adam). Learning rates then
      carry over to other widths as long as ``head_dim`` is held fixed and heads are added (else the scores' scale
      should be proportional to 1 / head_dim). Rates are those of every matrix, of recurrent networks and objectives
      too, whose first values are their own, but for what an objective reads scores out with: ``std * base_dim /
      inputs``. Whatever is no linear map keeps its first values and its rate.

    Args:
        scheme: one of these.
        std: standard deviation; of ``normal``, ``gpt2`` and ``mup``.
        base_dim: inputs at which ``mup`` leaves rates as they are; the ``dim`` that the learning rate was found with.
    Raises:
        Refused: if ``std`` or ``base_dim`` is given to a scheme that has none.
    """

    scheme: Literal["normal", "gpt2", "xavier", "small", "scaled", "mup"] = "normal"
    std: float = 0.02
    base_dim: int | None = None

    def __post_init__(self) -> None:
        require(0 < self.std <= 1, f"std must be above 0 and at most 1: got std={self.std}")
        known = self.scheme in ("normal", "gpt2", "mup") or self.std == 0.02
        require(known, f"std goes with normal, gpt2 and mup: got std={self.std}, scheme={self.scheme}")
        fits = (self.scheme == "mup") == (self.base_dim is not None)
        require(fits, f"base_dim goes with mup: got base_dim={self.base_dim}, scheme={self.scheme}")
        require(self.base_dim is None or self.base_dim > 0, f"base_dim must be positive: got base_dim={self.base_dim}")

    def matrix(self, weight: Tensor, dim: int) -> None:
        """First values of a linear map ``[outputs, inputs]`` in a model of ``dim`` features."""
        inputs = weight.shape[-1]
        if self.scheme == "xavier":
            nn.init.xavier_uniform_(weight)
        elif self.scheme == "small":
            nn.init.normal_(weight, std=math.sqrt(2 / (5 * dim)))
        elif self.scheme == "scaled":
            std = inputs**-0.5
            nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std)
        else:
            nn.init.normal_(weight, std=self.std * math.sqrt(self.factor(inputs)))

    def table(self, weight: Tensor, dim: int) -> None:
        """First values of one vector for each token, or for each place: ``[vectors, width]``."""
        if self.scheme in ("xavier", "scaled"):
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)
        elif self.scheme == "small":
            nn.init.normal_(weight, std=math.sqrt(2 / (5 * dim)))
        else:
            nn.init.normal_(weight, std=self.std)

    def head(self, weight: Tensor, dim: int) -> None:
        """First values of an untied head's matrix ``[vocabulary, dim]``."""
        if self.scheme == "mup":
            self.table(weight, dim)
        else:
            self.matrix(weight, dim)

    def readouts(self, module: nn.Module) -> None:
        """First values of the readouts of an objective; what is read out begins as the logits of the model do."""
        if self.scheme == "mup":
            roles = parameter_roles(module)
            for name, inputs in count_inputs(module).items():
                if roles[name] == "readout":
                    nn.init.normal_(module.get_parameter(name), std=self.std * self.factor(inputs))

    def output_gain(self, layer: int, layers: int, sublayers: int) -> float:
        """What outputs of layer ``layer``, from 0, are multiplied with, in a stack of so many layers and sublayers."""
        gains = {
            "gpt2": 1 / math.sqrt(sublayers),
            "small": math.sqrt(10) / layers,  # 2 / (layers sqrt(dim)), over sqrt(2 / (5 dim))
            "scaled": 1 / math.sqrt(2 * (layer + 1)),
        }
        return gains.get(self.scheme, 1.0)

    def factor(self, inputs: int) -> float:
        """What the learning rate of a matrix, and the logits of a head, with so many inputs are multiplied with."""
        return 1.0 if self.base_dim is None else self.base_dim / inputs
