"""The optimisers of a search: PyTorch's own functions of them, with the state kept here.

The classes of `torch.optim` import PyTorch's compiler at their first use, which takes as long as a quarter of a quick
search. The functions that compute their steps do not.
"""

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.sgd import sgd

STEP = "step"
"""How often Adam moved a tensor; on the host, where it is read."""


class Optimizer:
    """Moves tensors along their `grad`; one without a gradient stays, and so does what is remembered of it."""

    def __init__(self, parameters: Iterable[Tensor], **settings: Any):
        self.parameters = list(parameters)
        self.settings = settings
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        """What is remembered of a tensor, by name; nothing of one that never moved."""

    @torch.no_grad()
    def step(self) -> None:
        """Move all that have a gradient."""
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        if moved:
            self._move(moved, [parameter.grad for parameter in moved if parameter.grad is not None])

    def _move(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        raise NotImplementedError

    def for_others(self, parameters: Iterable[Tensor]) -> Self:
        """Return one of the same settings and state that moves other tensors, of the same shapes and order."""
        other = type(self)(parameters, **self.settings)
        other.load_state_dict(self.state_dict())
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return settings and state as plain content; the tensors are the optimiser's own."""
        state = {number: self.state[one] for number, one in enumerate(self.parameters) if one in self.state}
        return {"settings": self.settings, "state": state}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Go on from copies of what `state_dict` returned."""
        self.settings = dict(content["settings"])
        self.state = {}
        for number, remembered in content["state"].items():
            parameter = self.parameters[number]
            self.state[parameter] = {
                name: value.clone() if name == STEP else value.to(parameter.device, copy=True)
                for name, value in remembered.items()
            }


class SGD(Optimizer):
    """Stochastic gradient descent, as `torch.optim.SGD` (Sutskever et al. 2013 for the momentum)."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def _move(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        buffers = [self.state.get(parameter, {}).get("momentum_buffer") for parameter in parameters]
        sgd(parameters, gradients, buffers, foreach=True, dampening=0.0, maximize=False, **self.settings)
        for parameter, buffer in zip(parameters, buffers, strict=True):
            if buffer is not None:
                self.state[parameter] = {"momentum_buffer": buffer}


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), as `torch.optim.Adam`: the weight decay is added to the gradient."""

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, betas: tuple[float, float], weight_decay: float = 0.0
    ):
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)

    def _move(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        for parameter in parameters:
            if parameter not in self.state:
                self.state[parameter] = {
                    STEP: torch.zeros(()),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        beta1, beta2 = self.settings["betas"]
        adam(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state[STEP] for state in states],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=self.settings["lr"],
            weight_decay=self.settings["weight_decay"],
            eps=1e-8,
            maximize=False,
        )
