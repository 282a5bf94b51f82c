"""RTVC files with seeded weights load unchanged in the real networks, and come out again as they went in."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audio.errors import ModelError
from models.checkpoint import export_rtvc, read_checkpoint, write_checkpoint
from models.description import RTVC_ARCHITECTURES
from models.registry import ARCHITECTURES, ModelRegistry
from models.rtvc_layout import rtvc_layout

FIXED = {"similarity_weight": 10.0, "similarity_bias": -5.0, "stop_threshold": -3.4, "decoder.r": 2.0}


def make_seeded_state(kind: str, seed: int) -> dict[str, torch.Tensor]:
    """The rule of the reference values."""
    state = {}
    for entry in rtvc_layout(kind):
        rng = np.random.default_rng([seed, zlib.crc32(entry.name.encode())])
        if entry.name in FIXED or entry.dtype != "float32":
            array = np.full(entry.shape, FIXED.get(entry.name, 0.0))
        elif entry.name.endswith("running_var"):
            array = rng.uniform(0.5, 1.5, size=entry.shape)
        elif len(entry.shape) >= 2:
            array = rng.standard_normal(entry.shape) / np.sqrt(np.prod(entry.shape[1:]))
        else:
            array = rng.standard_normal(entry.shape) * 0.1
        state[entry.name] = torch.from_numpy(np.asarray(array, dtype=entry.dtype))
    return state


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    return ModelRegistry([tmp_path], standard_roots=False)


@pytest.mark.parametrize("kind", ["encoder", "synthesizer", "vocoder"])
def test_original_file_loads_and_is_exported_unchanged(
    kind: str, registry: ModelRegistry, tmp_path: Path, reference: Callable[[str], Any]
) -> None:
    state = make_seeded_state(kind, reference("layouts.json")["seed"])
    path = tmp_path / "mine" / f"{kind}.pt"
    path.parent.mkdir()
    torch.save({"model_state": state, "optimizer_state": {}}, path)
    network = registry.load("mine", kind)
    loaded = network.state_dict()
    assert set(loaded) == set(state)
    for name, tensor in state.items():
        assert loaded[name].dtype == tensor.dtype and torch.equal(loaded[name], tensor), name

    ours = write_checkpoint(tmp_path / "ours" / kind, kind=kind, architecture=RTVC_ARCHITECTURES[kind],
                            config=network.cfg.to_dict(), state=loaded, card={"step": 0})
    assert registry.load("ours", kind).cfg == network.cfg
    exported = read_checkpoint(export_rtvc(read_checkpoint(ours), tmp_path / "out.pt"), kind)
    assert all(torch.equal(exported.state[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("kind", ["encoder", "synthesizer", "vocoder"])
def test_foreign_shapes_give_a_named_error(kind: str, registry: ModelRegistry, tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.pt"
    good = {entry.name: torch.zeros(entry.shape, dtype=getattr(torch, entry.dtype)) for entry in rtvc_layout(kind)}
    good["decoder.r"] = torch.tensor(2, dtype=torch.int32)
    matrices = [name for name, tensor in good.items() if tensor.dim() == 2]
    if kind != "synthesizer":
        del good["decoder.r"]
    changed = {
        "scalar": {name: torch.zeros(()) for name in good},
        "transposed": good | {matrices[0]: torch.zeros(good[matrices[0]].shape[::-1])},
        "extended": good | {matrices[-1]: torch.zeros(*good[matrices[-1]].shape, 1)},
    }
    for state in changed.values():
        torch.save(state, path)
        with pytest.raises(ModelError, match=f"{kind}.pt"):
            registry.load(path, kind)


def test_default_configs_have_the_original_sizes() -> None:
    from importlib import import_module

    for kind, architecture in RTVC_ARCHITECTURES.items():
        network_module, network_class, config_module, config_class = ARCHITECTURES[architecture]
        cfg = getattr(import_module(config_module), config_class)()
        with torch.device("meta"):
            state = getattr(import_module(network_module), network_class)(cfg).state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        assert shapes == {entry.name: entry.shape for entry in rtvc_layout(kind)}, kind
