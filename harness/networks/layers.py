"""The layers that the supernet and the discrete network share (Dong and Yang 2020, NAS-Bench-201)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.space.cell import CONV1, CONV3, Shape

KERNEL_SIZE = {CONV1: 1, CONV3: 3}


class ConvolutionBlock(nn.Module):
    """ReLU, convolution, batch norm. Without a learned scale and shift (`affine`) the convolution has a bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, affine: bool = True, track: bool = True
    ):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=not affine)
        self.norm = nn.BatchNorm2d(outputs, affine=affine, track_running_stats=track)

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, inputs, height, width] to [batch, outputs, height / stride, width / stride]."""
        normalised: Tensor = self.norm(self.convolution(F.relu(features)))
        return normalised


class Reduction(nn.Module):
    """ResNet basic block of stride 2, which doubles the channels and halves height and width."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first = ConvolutionBlock(inputs, outputs, kernel=3, stride=2)
        self.second = ConvolutionBlock(outputs, outputs, kernel=3)
        self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Map [batch, inputs, height, width] to [batch, outputs, height / 2, width / 2]."""
        shortcut: Tensor = self.shortcut(F.avg_pool2d(features, kernel_size=2, stride=2))
        return shortcut + self.second(self.first(features))


class Stem(nn.Sequential):
    """3x3 convolution from the image to the first stage's channels, then batch norm."""

    def __init__(self, shape: Shape):
        super().__init__(
            nn.Conv2d(shape.image_channels, shape.channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(shape.channels),
        )


class Head(nn.Module):
    """Batch norm, ReLU, global average pooling and the linear classifier."""

    def __init__(self, shape: Shape):
        super().__init__()
        channels = shape.stage_channels[-1]
        self.norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Linear(channels, shape.classes)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [batch, channels, height, width] to logits [batch, classes]."""
        logits: Tensor = self.classifier(F.relu(self.norm(features)).mean(dim=(2, 3)))
        return logits


def tracked_norms(module: nn.Module) -> tuple[nn.BatchNorm2d, ...]:
    """Return the batch norms of a module that keep running statistics."""
    return tuple(each for each in module.modules() if isinstance(each, nn.BatchNorm2d) and each.track_running_stats)


def average_pool(features: Tensor) -> Tensor:
    """3x3 average pooling of stride 1 that does not count the padding; keeps the shape."""
    if torch.compiler.is_compiling() and features.device.type == "cpu":
        height, width = (_window_sizes(length, features) for length in features.shape[2:])
        return window_sum(features) / (height.unsqueeze(1) * width)
    return F.avg_pool2d(features, kernel_size=3, stride=1, padding=1, count_include_pad=False)


def _window_sizes(length: int, like: Tensor) -> Tensor:
    # [length]: how many of the three places around each lie inside.
    places = torch.arange(length, device=like.device)
    return (3 - (places == 0).to(like.dtype)) - (places == length - 1).to(like.dtype)


@torch.library.custom_op("dartsboard::window_sum", mutates_args=())
def window_sum(features: Tensor) -> Tensor:
    """Return the sums of the 3x3 windows of [batch, channels, height, width], zero beyond the borders.

    The compiler takes it as it is. Average pooling itself it would spread over the loops of what comes before and
    after, which for the backward pass means to compute every gradient nine times. A convolution of each channel with
    ones is the fastest way on CPUs.
    """
    channels = features.shape[1]
    ones = features.new_ones(channels, 1, 3, 3)
    with torch.autocast(features.device.type, enabled=False):
        sums = F.conv2d(features, ones, padding=1, groups=channels)
    # The compiler counts on the input's strides, which a convolution changes where a side has length one.
    return sums if sums.stride() == torch.empty_like(features).stride() else torch.empty_like(features).copy_(sums)


@window_sum.register_fake
def _(features: Tensor) -> Tensor:
    return torch.empty_like(features)


# Each element is in the windows of its neighbours as they are in its own: the operator is its own adjoint.
window_sum.register_autograd(lambda _, gradient: window_sum(gradient))


def shuffle_channels(features: Tensor, groups: int) -> Tensor:
    """Interleave `groups` groups of channels of [batch, channels, height, width] (PC-DARTS; ShuffleNet)."""
    return torch.channel_shuffle(features, groups)
