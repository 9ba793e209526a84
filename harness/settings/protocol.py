"""params.yaml as typed, validated settings.

Read with ruamel.yaml, as DVC reads it, so that both see the same values (PyYAML takes `1e-3` for text). DVC has its
parser in C, which is several times as fast, and crashes where brackets are nested too deeply; here it is in Python.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from harness.base.errors import UserError, did_you_mean, quoted
from harness.settings.tables import CostSettings, TruthSettings
from harness.settings.validation import PARAMS_FILE, Settings, read_yaml, validate

LARGEST = 1e3
"""Rates, decays and scales beyond it overflow in float32 before they are of any use."""
LARGEST_SEED = 2**63 - 1
"""What a column of whole numbers holds."""

Beta = Annotated[float, Field(ge=0, lt=1)]


class SplitSettings(Settings):
    """How the training images are divided between the weights and alpha."""

    kind: Literal["random", "halves", "same", "file", "test-file"]
    """`random`: two halves by a named stream, the same for every seed; `halves`: first and second half of the file
    order; `same`: all of them for both, each in an order of its own (single-level search); `file`: JSON; `test-file`:
    weights on all training images, alpha on the test images that a JSON lists."""
    file: str | None = None
    """For `file`: JSON with the lists `train` and `valid` of positions in the training images (the form of
    cifar-split.txt); for `test-file`: with the list `xvalid` or `valid` of positions in the test images."""

    @model_validator(mode="after")
    def _file_is_named(self) -> "SplitSettings":
        if self.kind.endswith("file") != (self.file is not None):
            raise ValueError("split.file belongs to split.kind 'file' and 'test-file', and to no other")
        return self


class DataSettings(Settings):
    """The images a search trains on."""

    name: Literal["digits", "cifar10", "cifar100", "imagenet16-120", "folder"]
    """Data set."""
    path: str | None
    """Folder of the local files; null for `digits`, which is embedded."""
    download: StrictBool
    """Let torchvision download a missing CIFAR."""
    image_size: StrictInt = Field(ge=4, le=512, multiple_of=4)
    """Pixels a side; images of another size are resized once."""
    limit: StrictInt | None = Field(ge=2)
    """Training images a class, taken from the front of the file order; null for all."""
    split: SplitSettings
    crop_padding: StrictInt = Field(ge=0)
    """Pixels of zero padding before the random crop; 0 for no crop."""
    flip: StrictBool
    """Random horizontal flip."""
    cutout: StrictInt = Field(ge=0)
    """Side of the zero square in pixels (DeVries and Taylor 2017); 0 for none."""
    cutout_ramp: StrictBool
    """Let the probability of cutout rise linearly from 0 to 1 over the epochs."""

    @model_validator(mode="after")
    def _path_is_named(self) -> "DataSettings":
        if (self.name == "digits") != (self.path is None):
            raise ValueError("data.path is the folder of the local files, and null for 'digits' alone")
        return self

    @model_validator(mode="after")
    def _something_of_an_image_is_left(self) -> "DataSettings":
        for key in ("crop_padding", "cutout"):
            if getattr(self, key) > self.image_size:
                raise ValueError(
                    f"{key}: expected at most the {self.image_size} pixels of image_size, not {getattr(self, key)}"
                )
        return self


class NetworkSettings(Settings):
    """The supernet (methods: Dong and Yang 2020)."""

    channels: StrictInt = Field(ge=1)
    """Channels of the first stage, C."""
    cells_per_stage: StrictInt = Field(ge=1)
    """Cells a stage, N."""
    batch_statistics: StrictBool
    """Batch norms of the search cells normalise by their batch only and keep no running statistics. A search always
    normalises by the batch, so this changes a result only where a method scores cells in evaluation mode, which is
    its setting `running_statistics`."""
    affine: StrictBool
    """Batch norms of the search cells learn a scale and a shift; if not, the convolutions have a bias. Those of
    stem, reductions and head always do, as in NAS-Bench-201's code; in NATS-Bench's the head follows this setting."""
    gradient_checkpointing: StrictBool
    """Recompute each cell in the backward pass, which saves memory."""
    compile: StrictBool
    """Run the search cells through PyTorch's compiler: same results up to rounding, see docs/speed.md."""
    cuda_graphs: StrictBool
    """Launch the passes of a step as CUDA graphs: same results; only on CUDA, see docs/speed.md."""
    drop_path: float = Field(ge=0, lt=1)
    """Probability, at the end, of dropping an operation's output for a sample; it rises linearly from 0."""

    @model_validator(mode="after")
    def _kept_or_recomputed(self) -> "NetworkSettings":
        for faster in ("compile", "cuda_graphs"):
            if getattr(self, faster) and self.gradient_checkpointing:
                raise ValueError(f"{faster} and gradient_checkpointing exclude each other: set one to false")
        return self


class WeightSettings(Settings):
    """Optimiser of the network weights w: SGD, whose rate falls as a cosine with every step, not with every epoch."""

    lr: float = Field(gt=0, le=LARGEST)
    lr_min: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1)
    nesterov: StrictBool
    weight_decay: float = Field(ge=0, le=LARGEST)
    clip: float | None = Field(gt=0)
    """Largest L2 norm of the gradient of all weights; null for no clipping. Never applied to alpha."""

    @model_validator(mode="after")
    def _they_fit_together(self) -> "WeightSettings":
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min: expected at most lr, {self.lr}, from which the rate falls, not {self.lr_min}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected false where momentum is 0, for it looks ahead along the momentum")
        return self


class AlphaSettings(Settings):
    """Optimiser of the architecture parameters alpha."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """`sgd` is the plain one, without momentum."""
    lr: float = Field(gt=0, le=LARGEST)
    betas: tuple[Beta, Beta]
    """Of Adam; `sgd` has none."""
    weight_decay: float = Field(ge=0, le=LARGEST)
    init_scale: float = Field(gt=0, le=LARGEST)
    """Standard deviation of alpha's normal initialisation."""
    batches: Literal["shuffled", "with-replacement"]
    """How validation batches are drawn: one pass over a shuffle an epoch, or independent draws."""


class DerivationSettings(Settings):
    """What is read off a finished search beside the variant's own answer."""

    draws: StrictInt = Field(ge=1, le=1_000_000)
    """Cells drawn from the final op weights."""
    one_shot: StrictBool
    """Ask the trained supernet too: operation strength, and the best of the draws by one-shot accuracy."""
    images: StrictInt | None = Field(default=None, ge=2)
    """Validation images that it is asked about; null: all of them, which took a third as long as a search of
    `small-cifar`."""


class DiagnosticsSettings(Settings):
    """What is measured along the way, and how often: every so many epochs and after the last, never for null."""

    images: StrictInt = Field(ge=2)
    """Validation images for the discretisation gap, layer alignment and one-shot accuracies."""
    every: StrictInt | None = Field(ge=1)
    """Discretisation gap and layer alignment."""
    hessian_images: StrictInt = Field(ge=2)
    """Validation images for the Hessian in alpha."""
    hessian_every: StrictInt | None = Field(ge=1)
    """Eigenvalues of the Hessian in alpha; each costs about 60 passes over its images."""
    one_shot_every: StrictInt | None = Field(ge=1)
    """One-shot accuracies of the fixed list of 100 cells."""


OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Of the space, in the benchmark's order."""


class Protocol(Settings):
    """Everything a run depends on that is not the variant."""

    operations: tuple[str, ...]
    """What an edge chooses from; fewer than the five are another space, with other landmarks and another best cell."""
    data: DataSettings
    network: NetworkSettings
    epochs: StrictInt = Field(ge=1)
    batch_size: StrictInt = Field(ge=2)
    order: Literal["alpha-then-weights", "weights-then-alpha"]
    """Which of the two updates of a step comes first."""
    weights: WeightSettings
    alpha: AlphaSettings
    derivation: DerivationSettings
    diagnostics: DiagnosticsSettings
    precision: Literal["float64", "float32", "tf32", "bfloat16"]
    """Arithmetic of the networks; `bfloat16` is autocast, alpha and the weights stay float32."""
    device: Literal["auto", "cpu", "cuda"]
    threads: StrictInt = Field(ge=1, le=1024)
    """CPU threads of one search; results may depend on it, so it never follows the machine."""
    deterministic: StrictBool
    """On CUDA, only algorithms that give the same bits every time, where there are such; on CPUs all do anyway."""

    @field_validator("operations")
    @classmethod
    def _operations_are_some_of_the_space(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in OPERATIONS:
                raise ValueError(f"{quoted(name)} is no operation, {did_you_mean(name, OPERATIONS)}")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there {names.count(name)} times, expected once")
        if len(names) < 2:
            raise ValueError(f"expected at least two operations to choose from, not {len(names)}")
        return tuple(name for name in OPERATIONS if name in names)


class TrackingSettings(Settings):
    """The MLflow mirror."""

    uri: str | None
    """Tracking server; null for mlflow.db in the project."""
    experiment: str


class Board(Settings):
    """The whole of params.yaml: the set of runs, and what each depends on."""

    protocol: str
    seeds: tuple[StrictInt, ...] = Field(min_length=1)
    reference: str
    """The variant that the others are compared with, paired by seed."""
    truth: TruthSettings
    variants: dict[str, dict[str, Any]]
    baselines: dict[str, dict[str, Any]]
    tracking: TrackingSettings
    protocols: dict[str, Protocol]
    costs: CostSettings | None = None
    """What cells cost on a device, to stand beside their accuracy; null or left out: not known."""

    @field_validator("variants", "baselines", mode="before")
    @classmethod
    def _methods_are_named(cls, value: Any) -> Any:
        if value == "all":
            raise ValueError(
                "the names that stand here become stages of DVC, and `dartsboard use boards/all-methods.yaml` writes "
                "those of all methods: expected names with their settings"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Board":
        if self.protocol not in self.protocols:
            raise ValueError(
                f"protocol: there is no protocol {quoted(self.protocol)}, {did_you_mean(self.protocol, self.protocols)}"
            )
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0 or max(self.seeds) > LARGEST_SEED:
            raise ValueError(f"seeds: expected distinct numbers from 0 up to {LARGEST_SEED}")
        if not self.variants and not self.baselines:
            raise ValueError("variants: expected at least one method there or under baselines")
        both = set(self.variants) & set(self.baselines)
        if both:
            raise ValueError(f"baselines: {sorted(both)[0]!r} stands under variants too")
        return self

    @property
    def chosen(self) -> Protocol:
        """The protocol that `protocol` names."""
        return self.protocols[self.protocol]

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All runs, as (method, seed): the searches first."""
        return [(name, seed) for name in (*self.variants, *self.baselines) for seed in self.seeds]

    def stages(self, runs: Iterable[tuple[str, int]]) -> list[str]:
        """Return the names of the DVC stages of runs (method, seed), without those that are not of this board."""
        kinds = {**dict.fromkeys(self.variants, "search"), **dict.fromkeys(self.baselines, "baseline")}
        return [f"{kinds[name]}@{name}-{seed}" for name, seed in runs if name in kinds and seed in self.seeds]


def load_board(path: Path = PARAMS_FILE) -> Board:
    """Read and validate params.yaml.

    Raises:
        UserError: the file is missing or no YAML, or holds an unknown key, a wrong type or value.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is empty or no mapping, expected the keys {', '.join(Board.model_fields)}")
    return validate(Board, content, where=str(path))
