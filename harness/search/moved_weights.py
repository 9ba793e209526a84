"""Where the weights would be if alpha stood elsewhere: a twin that is trained there, or the derivative of training."""

from typing import Any

import torch
from torch import Tensor

from harness.estimators.hypergradient import along_direction, moving_gradient, zeroth_order
from harness.estimators.tangent import SgdTangent
from harness.networks.supernet import twice_differentiable
from harness.search.optimizers import SGD
from harness.search.variant import Architecture, StepView


class Twin:
    """A second set of weights that is trained as the search's own, but at alpha + mu z."""

    def __init__(self, step: StepView, direction: Architecture, mu: Tensor):
        """Start from the current weights and the current state of their optimiser."""
        self.direction = direction
        self.mu = mu
        self.steps = 0
        self.architecture = {
            name: value.detach() + mu.to(value.dtype) * direction[name] for name, value in step.architecture.items()
        }
        self.weights = {name: weight.detach().clone().requires_grad_() for name, weight in step.weights.items()}
        self.optimizer = step.search.weight_optimizer.for_others(self.weights.values())

    def follow(self, step: StepView) -> None:
        """Make the weight step of this batch: same rate, momentum, weight decay, clipping and controls."""
        loss = step.train_loss(self.weights, self.architecture)
        gradients = torch.autograd.grad(loss, list(self.weights.values()), allow_unused=True)
        for weight, found in zip(self.weights.values(), gradients, strict=True):
            weight.grad = found
        clip = step.search.protocol.weights.clip
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), clip)
        self.optimizer.settings["lr"] = step.learning_rate
        self.optimizer.step()
        self.steps += 1

    def gradient(self, step: StepView) -> Architecture:
        """Return G by the difference of the weights."""
        return zeroth_order(
            step.valid_loss, step.weights, self.weights, step.architecture, direction=self.direction, mu=self.mu
        )

    def state(self) -> dict[str, Any]:
        """Return plain content that `restored` takes back."""
        return {
            "direction": self.direction,
            "mu": self.mu,
            "steps": self.steps,
            "architecture": self.architecture,
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "optimizer": self.optimizer.state_dict(),
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Twin":
        """Return the twin of a saved state."""
        twin = cls.__new__(cls)
        twin.direction, twin.mu, twin.steps = state["direction"], state["mu"], state["steps"]
        twin.architecture = state["architecture"]
        twin.weights = {name: weight.requires_grad_() for name, weight in state["weights"].items()}
        twin.optimizer = SGD(twin.weights.values(), lr=0.0)  # its state has the settings
        twin.optimizer.load_state_dict(state["optimizer"])
        return twin


class Tangent:
    """The limit of a twin as mu goes to zero: the derivative of the search's weights along the direction."""

    def __init__(self, step: StepView, direction: Architecture):
        """Start where the weights do not depend on alpha yet."""
        self.direction = direction
        self.steps = 0
        self.motion = SgdTangent(step.weights)

    def follow(self, step: StepView) -> None:
        """Differentiate the weight step of this batch, which is still to come."""
        weights = step.search.protocol.weights
        with twice_differentiable(step.search.supernet):
            gradient, derivative = moving_gradient(
                step.train_loss, step.weights, step.architecture, tangent=self.motion.weights, direction=self.direction
            )
        step.search.passes += 1  # the second differentiation costs about as much as the pass
        self.motion.step(
            gradient,
            derivative,
            lr=step.learning_rate,
            momentum=weights.momentum,
            nesterov=weights.nesterov,
            weight_decay=weights.weight_decay,
            clip=weights.clip,
        )
        self.steps += 1

    def gradient(self, step: StepView) -> Architecture:
        """Return G by the derivative of the weights."""
        return along_direction(
            step.valid_loss, step.weights, self.motion.weights, step.architecture, direction=self.direction
        )

    def state(self) -> dict[str, Any]:
        """Return plain content that `restored` takes back."""
        return {
            "direction": self.direction,
            "steps": self.steps,
            "weights": self.motion.weights,
            "buffers": self.motion.buffers,
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "Tangent":
        """Return the tangent of a saved state."""
        tangent = cls.__new__(cls)
        tangent.direction, tangent.steps = state["direction"], state["steps"]
        tangent.motion = SgdTangent(state["weights"])
        tangent.motion.weights, tangent.motion.buffers = state["weights"], state["buffers"]
        return tangent
