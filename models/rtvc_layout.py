"""The fixed sizes of the original RTVC networks, for export; knows names, shapes and settings, no tensors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from models.description import RTVC_ARCHITECTURES

# Settings that leave no trace in the shapes and that the original program cannot be told.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "encoder": {},
    "synthesizer": {"front_end": "rtvc"},
    "vocoder": {"mode": "RAW", "bits": 9, "mu_law": True, "upsample_factors": [5, 5, 8], "pad": 2},
}


@dataclass(frozen=True)
class LayoutEntry:
    """One state-dict entry; ``dtype`` is a name of torch's."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def is_counter(self) -> bool:
        """Whether it only counts training steps or batches."""
        return self.name == "step" or self.name.endswith("num_batches_tracked")


def rtvc_layout(kind: str) -> list[LayoutEntry]:
    """State-dict entries of RTVC's network of ``kind``, in order, at the only sizes that it has."""
    return list({"encoder": _encoder, "synthesizer": _synthesizer, "vocoder": _vocoder}[kind]())


def find_differences(
    kind: str, architecture: str, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What keeps a model from running in the original program, a phrase each; empty when nothing does."""
    if architecture != RTVC_ARCHITECTURES[kind]:
        return [f"its {kind} is {RTVC_ARCHITECTURES[kind]}, not {architecture}"]
    layout = rtvc_layout(kind)
    problems = []
    for entry in layout:
        found = shapes.get(entry.name)
        if found is None and not entry.is_counter:
            problems.append(f"{entry.name} {entry.shape} is missing")
        elif found is not None and found != entry.shape:
            problems.append(f"{entry.name} is {found}, RTVC's is {entry.shape}")
    known = {entry.name for entry in layout}
    problems += [f"{name} is unknown to RTVC" for name in shapes if name not in known]
    wanted = {**_SETTINGS[kind], "mel": _mel_settings(kind)}
    return problems + list(_setting_differences(wanted, config))


def _setting_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key, value in wanted.items():
        if key not in found:
            continue
        own = list(found[key]) if isinstance(found[key], tuple) else found[key]
        if isinstance(value, Mapping) and isinstance(own, Mapping):
            yield from (f"{key}.{problem}" for problem in _setting_differences(value, own))
        elif own != value:
            yield f"{key} is {own!r}, RTVC's is {value!r}"


def _mel_settings(kind: str) -> dict[str, Any]:
    from audio.mel import ENCODER_MEL, SYNTHESIZER_MEL

    return dict((ENCODER_MEL if kind == "encoder" else SYNTHESIZER_MEL).to_dict())


def _linear(name: str, rows: int, columns: int, bias: bool = True) -> Iterator[LayoutEntry]:
    yield LayoutEntry(f"{name}.weight", (rows, columns))
    if bias:
        yield LayoutEntry(f"{name}.bias", (rows,))


def _recurrent(name: str, gates: int, width: int, hidden: int, suffix: str = "") -> Iterator[LayoutEntry]:
    rows = gates * hidden
    prefix = f"{name}." if name else ""
    yield LayoutEntry(f"{prefix}weight_ih{suffix}", (rows, width))
    yield LayoutEntry(f"{prefix}weight_hh{suffix}", (rows, hidden))
    yield LayoutEntry(f"{prefix}bias_ih{suffix}", (rows,))
    yield LayoutEntry(f"{prefix}bias_hh{suffix}", (rows,))


def _batch_norm(name: str, width: int) -> Iterator[LayoutEntry]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield LayoutEntry(f"{name}.{part}", (width,))
    yield LayoutEntry(f"{name}.num_batches_tracked", (), "int64")


def _encoder() -> Iterator[LayoutEntry]:
    yield LayoutEntry("similarity_weight", (1,))
    yield LayoutEntry("similarity_bias", (1,))
    for layer, width in enumerate((40, 256, 256)):
        yield from _recurrent("lstm", 4, width, 256, f"_l{layer}")
    yield from _linear("linear", 256, 256)


def _conv_norm(name: str, channels_out: int, channels_in: int, kernel: int) -> Iterator[LayoutEntry]:
    yield LayoutEntry(f"{name}.conv.weight", (channels_out, channels_in, kernel))
    yield from _batch_norm(f"{name}.bnorm", channels_out)


def _cbhg(name: str, width_in: int, width: int, projections: tuple[int, int]) -> Iterator[LayoutEntry]:
    for index in range(5):
        yield from _conv_norm(f"{name}.conv1d_bank.{index}", width, width_in, index + 1)
    yield from _conv_norm(f"{name}.conv_project1", projections[0], 5 * width, 3)
    yield from _conv_norm(f"{name}.conv_project2", projections[1], projections[0], 3)
    if projections[1] != width:
        yield from _linear(f"{name}.pre_highway", width, projections[1], bias=False)
    for index in range(4):
        yield from _linear(f"{name}.highways.{index}.W1", width, width)
        yield from _linear(f"{name}.highways.{index}.W2", width, width)
    for suffix in ("_l0", "_l0_reverse"):
        yield from _recurrent(f"{name}.rnn", 3, width, width // 2, suffix)


def _synthesizer() -> Iterator[LayoutEntry]:
    yield LayoutEntry("step", (1,), "int64")
    yield LayoutEntry("stop_threshold", ())
    yield LayoutEntry("encoder.embedding.weight", (66, 512))
    yield from _linear("encoder.pre_net.fc1", 256, 512)
    yield from _linear("encoder.pre_net.fc2", 256, 256)
    yield from _cbhg("encoder.cbhg", 256, 256, (256, 256))
    yield from _linear("encoder_proj", 128, 512, bias=False)
    yield LayoutEntry("decoder.r", (), "int32")
    yield from _linear("decoder.prenet.fc1", 256, 80)
    yield from _linear("decoder.prenet.fc2", 256, 256)
    yield LayoutEntry("decoder.attn_net.conv.weight", (32, 1, 31))
    yield LayoutEntry("decoder.attn_net.conv.bias", (32,))
    yield from _linear("decoder.attn_net.L", 128, 32, bias=False)
    yield from _linear("decoder.attn_net.W", 128, 128)
    yield from _linear("decoder.attn_net.v", 1, 128, bias=False)
    yield from _recurrent("decoder.attn_rnn", 3, 768, 128)
    yield from _linear("decoder.rnn_input", 1024, 640)
    yield from _recurrent("decoder.res_rnn1", 4, 1024, 1024)
    yield from _recurrent("decoder.res_rnn2", 4, 1024, 1024)
    yield from _linear("decoder.mel_proj", 1600, 1024, bias=False)
    yield from _linear("decoder.stop_proj", 1, 1536)
    yield from _cbhg("postnet", 80, 512, (512, 80))
    yield from _linear("post_proj", 80, 512, bias=False)


def _vocoder() -> Iterator[LayoutEntry]:
    yield LayoutEntry("step", (1,), "int64")
    resnet = "upsample.resnet"
    yield LayoutEntry(f"{resnet}.conv_in.weight", (128, 80, 5))
    yield from _batch_norm(f"{resnet}.batch_norm", 128)
    for index in range(10):
        for conv in ("conv1", "conv2"):
            yield LayoutEntry(f"{resnet}.layers.{index}.{conv}.weight", (128, 128, 1))
        for norm in ("batch_norm1", "batch_norm2"):
            yield from _batch_norm(f"{resnet}.layers.{index}.{norm}", 128)
    yield LayoutEntry(f"{resnet}.conv_out.weight", (128, 128, 1))
    yield LayoutEntry(f"{resnet}.conv_out.bias", (128,))
    for index, factor in ((1, 5), (3, 5), (5, 8)):
        yield LayoutEntry(f"upsample.up_layers.{index}.weight", (1, 1, 1, 2 * factor + 1))
    yield from _linear("I", 512, 113)
    yield from _recurrent("rnn1", 3, 512, 512, "_l0")
    yield from _recurrent("rnn2", 3, 544, 512, "_l0")
    yield from _linear("fc1", 512, 544)
    yield from _linear("fc2", 512, 544)
    yield from _linear("fc3", 512, 512)
