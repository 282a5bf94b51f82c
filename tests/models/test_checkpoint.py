"""Checkpoints: what is written is read back; what is broken, foreign or hostile is refused by name."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from audio.errors import ModelError
from models.checkpoint import (
    Checkpoint,
    export_rtvc,
    half_error,
    load_state,
    load_training_state,
    read_checkpoint,
    save_training_state,
    write_checkpoint,
)
from models.rtvc_layout import rtvc_layout


class Tiny(nn.Module):
    """Stands for a speaker encoder: its names tell its kind."""

    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, hidden)
        self.register_buffer("step", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("r", torch.tensor(2, dtype=torch.int32))


def seeded_state(hidden: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Tiny(hidden).state_dict()


def write_tiny(path: Path, state: dict[str, torch.Tensor] | None = None, **changes) -> Path:
    arguments = {"kind": "encoder", "architecture": "tiny", "config": {"hidden": 4}, "card": {"step": 12}}
    return write_checkpoint(path, state=state or seeded_state(), **(arguments | changes))


def wrap(path: Path, state: dict[str, torch.Tensor], **more) -> Path:
    torch.save({"step": 7, "model_state": state, "optimizer_state": {"lr": 0.1}} | more, path)
    return path


def default_size_state(kind: str) -> dict[str, torch.Tensor]:
    return {entry.name: torch.zeros(entry.shape, dtype=getattr(torch, entry.dtype)) for entry in rtvc_layout(kind)}


class Bomb:
    """A pickle that creates a file when it is read by an unwary reader."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return (os.mkdir, (str(self.victim),))


def test_written_checkpoint_reads_back_exactly(tmp_path: Path) -> None:
    state = seeded_state()
    path = write_tiny(tmp_path / "set" / "encoder", state)
    checkpoint = read_checkpoint(path, "encoder")
    assert (checkpoint.kind, checkpoint.architecture, checkpoint.step) == ("encoder", "tiny", 12)
    assert checkpoint.config == {"hidden": 4} and checkpoint.format == "safetensors"
    assert {name: tensor.dtype for name, tensor in checkpoint.state.items()} == {
        name: tensor.dtype for name, tensor in state.items()
    }
    assert all(torch.equal(checkpoint.state[name], tensor) for name, tensor in state.items())
    assert read_checkpoint(path.with_suffix(".json")).path == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["encoder.json", "encoder.safetensors"]


def test_half_keeps_vectors_buffers_and_overflowing_weights(tmp_path: Path) -> None:
    state = seeded_state()
    state["lstm.weight_hh_l0"][0, 0] = 1e6
    checkpoint = read_checkpoint(write_tiny(tmp_path / "encoder", state, half=True))
    assert checkpoint.state["linear.weight"].dtype == torch.float16
    assert checkpoint.state["linear.bias"].dtype == torch.float32
    assert checkpoint.state["lstm.weight_hh_l0"].dtype == torch.float32
    assert checkpoint.state["r"].dtype == torch.int32 and checkpoint.state["step"].dtype == torch.int64
    network = Tiny()
    load_state(network, checkpoint.state, checkpoint.path)
    assert network.linear.weight.dtype == torch.float32
    torch.testing.assert_close(network.linear.weight.data, state["linear.weight"], rtol=5e-4, atol=1e-6)
    error = half_error(state)
    assert 0 < error.max_relative < 2**-10 and error.n_values == 16 + 48


def test_shared_memory_is_no_obstacle(tmp_path: Path) -> None:
    block = torch.arange(24.0)
    state = {"a": block[:12].view(3, 4), "b": block[12:].view(3, 4).T}
    checkpoint = read_checkpoint(write_tiny(tmp_path / "encoder", state))
    assert all(torch.equal(checkpoint.state[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("wrapped", [True, False])
def test_rtvc_files_wrapped_or_bare(tmp_path: Path, wrapped: bool, legacy: bool) -> None:
    state = seeded_state()
    state["step"] += 99
    content = {"step": 7, "model_state": state, "optimizer_state": {}} if wrapped else state
    path = tmp_path / "encoder.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    checkpoint = read_checkpoint(path, "encoder")
    assert checkpoint.architecture == "speaker_encoder" and checkpoint.config is None
    assert checkpoint.step == (7 if wrapped else 99)
    load_state(Tiny(), checkpoint.state, path)


@pytest.mark.parametrize("kind", ["encoder", "synthesizer", "vocoder"])
def test_kind_is_told_from_the_names(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.pt"
    torch.save({f"module.{name}": torch.zeros(1) for name in (entry.name for entry in rtvc_layout(kind))}, path)
    assert read_checkpoint(path).kind == kind
    other = "vocoder" if kind == "encoder" else "encoder"
    with pytest.raises(ModelError, match=f"model.pt.*{kind}.*{other} was expected"):
        read_checkpoint(path, other)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("reader", [read_checkpoint, load_training_state])
@pytest.mark.parametrize("style", ["raw", "torch", "legacy"])
def test_code_in_a_file_is_refused_and_never_run(tmp_path: Path, style: str, reader) -> None:
    victim, path = tmp_path / "created-by-pickle", tmp_path / "encoder.pt"
    content = {"model_state": {**seeded_state(), "payload": Bomb(victim)}}
    if style == "raw":
        path.write_bytes(pickle.dumps(Bomb(victim)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=style == "torch")
    with pytest.raises(ModelError, match="encoder.pt.*run code.*refused"):
        reader(path)
    assert not victim.exists()


def test_network_saved_as_a_whole_is_refused(tmp_path: Path) -> None:
    torch.save(Tiny(), tmp_path / "encoder.pt")
    with pytest.raises(ModelError, match="run code.*tensors only"):
        read_checkpoint(tmp_path / "encoder.pt", "encoder")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected a speaker encoder"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"\n <HTML><body>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git-lfs"),
        (b"just some words", "is a text file"),
        (b"\x80\x02}q\x00(X", "broken or cut short"),
        (bytes(range(256)) * 8, "broken or cut short"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes, message: str, suffix: str) -> None:
    path = write_tiny(tmp_path / "encoder").with_suffix(suffix)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_checkpoint(path, "encoder")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("keep", [0.02, 0.5, 0.97])
def test_truncated_rtvc_file(tmp_path: Path, keep: float, legacy: bool) -> None:
    path = tmp_path / "encoder.pt"
    torch.save({"model_state": seeded_state(64)}, path, _use_new_zipfile_serialization=not legacy)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError, match="encoder.pt is (broken or )?cut short.*a speaker encoder"):
        read_checkpoint(path, "encoder")


@pytest.mark.parametrize("keep", [0.1, 0.6, 0.99])
def test_truncated_safetensors(tmp_path: Path, keep: float) -> None:
    path = write_tiny(tmp_path / "encoder")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ModelError, match="encoder.safetensors is"):
        read_checkpoint(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing.pt does not exist.*a vocoder"):
        read_checkpoint(tmp_path / "nothing.pt", "vocoder")
    with pytest.raises(ModelError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"model_state": {}}, {"model_state": 5}, {1: torch.zeros(2)}, {"weights": torch.zeros(2)}, torch.zeros(2)],
)
def test_other_pickles_are_no_models(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="x.pt.*expected a synthesizer"):
        read_checkpoint(tmp_path / "x.pt", "synthesizer")


def test_entries_that_are_no_plain_tensors(tmp_path: Path) -> None:
    huge = torch.zeros(1).expand(10**9, 10**6)
    for value in (3, huge, torch.zeros(3, 3).to_sparse()):
        path = wrap(tmp_path / "encoder.pt", {**seeded_state(), "linear.bias": value})
        with pytest.raises(ModelError, match="encoder.pt holds .*linear.bias"):
            read_checkpoint(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    good = write_tiny(tmp_path / "good")
    before = good.read_bytes()
    state = seeded_state(seed=1)
    state["linear.weight"][1, 1] = value
    with pytest.raises(ModelError, match="encoder.pt has values that are NaN or infinite at 'linear.weight'"):
        read_checkpoint(wrap(tmp_path / "encoder.pt", state))
    with pytest.raises(ModelError, match="NaN or infinite"):
        write_tiny(good, state)
    assert good.read_bytes() == before


def test_description_must_be_there_and_fit(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "encoder")
    described = path.with_suffix(".json")
    original = json.loads(described.read_text())
    broken = {
        "kind.*must be a string": {k: v for k, v in original.items() if k != "kind"},
        "config.*must be an object, found list": original | {"config": []},
        "format 2": original | {"format": 2},
        "of kind 'cook'": original | {"kind": "cook"},
        "its kind is not the one": original | {"kind": "vocoder"},
        "its config is not the one": original | {"config": {"hidden": 5}},
        "its architecture is not the one": original | {"architecture": "vocos"},
        "expected a JSON object": [],
    }
    for message, content in broken.items():
        described.write_text(json.dumps(content))
        with pytest.raises(ModelError, match=f"encoder.json.*{message}"):
            read_checkpoint(path)
    described.write_text('{"format": 1,')
    with pytest.raises(ModelError, match="encoder.json is not valid JSON"):
        read_checkpoint(path)
    described.unlink()
    with pytest.raises(ModelError, match="encoder.json is missing.*Copy both"):
        read_checkpoint(path)


def test_foreign_safetensors_of_another_kind(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = write_tiny(tmp_path / "vocoder", {"a": torch.zeros(2)}, kind="vocoder")
    save_file(seeded_state(), path)
    with pytest.raises(ModelError, match="describes a vocoder, but the weights are those of a speaker encoder"):
        read_checkpoint(path)


def test_load_state_names_what_does_not_fit() -> None:
    state = seeded_state()
    wrong = {**state, "linear.weight": torch.zeros(5, 4), "extra": torch.zeros(1)}
    del wrong["linear.bias"]
    network = Tiny()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_state(network, wrong, "some/encoder.pt")
    message = str(caught.value)
    shape = "linear.weight is (5, 4), expected (4, 4)"
    for part in ("some/encoder.pt", "Tiny", shape, "linear.bias is missing", "extra"):
        assert part in message
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    many = {name: torch.zeros(9, 9, 9) for name in state}
    with pytest.raises(ModelError, match="and 5 more"):
        load_state(Tiny(), many, "x")
    with pytest.raises(ModelError, match="r holds float32, expected int32"):
        load_state(Tiny(), {**state, "r": torch.tensor(2.5)}, "x")


def test_batch_counters_may_be_absent() -> None:
    norm = nn.BatchNorm1d(2)
    state = {name: tensor for name, tensor in norm.state_dict().items() if "num_batches" not in name}
    state["running_mean"] = torch.tensor([1.0, 2.0])
    load_state(norm, state, "x")
    assert norm.running_mean.tolist() == [1.0, 2.0]


def test_failed_write_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny(tmp_path / "encoder")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ModelError, match="cannot be written.*No space left"):
        write_tiny(path, seeded_state(seed=3))
    with pytest.raises(ModelError, match="cannot be written"):
        save_training_state(tmp_path / "last.pt", {"step": 1})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_training_state_round_trip(tmp_path: Path) -> None:
    network = Tiny()
    optimizer = torch.optim.Adam(network.parameters())
    sum(p.sum() for p in network.parameters()).backward()
    optimizer.step()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": 3, "best": None,
             "rng": torch.get_rng_state(), "betas": (0.9, 0.999), "name": "run"}
    path = tmp_path / "run" / "last.pt"
    save_training_state(path, {"step": 1})
    save_training_state(path, state)
    loaded = load_training_state(path)
    assert loaded["step"] == 3 and loaded["best"] is None and loaded["betas"] == (0.9, 0.999)
    assert torch.equal(loaded["rng"], state["rng"])
    assert torch.equal(loaded["optimizer"]["state"][0]["exp_avg"], state["optimizer"]["state"][0]["exp_avg"])
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


def test_training_state_refuses_what_could_not_be_read(tmp_path: Path) -> None:
    for value in (np.float64(1), Path("x"), np.zeros(2), Tiny()):
        with pytest.raises(TypeError, match=r"state\['a'\]\[0\] is a"):
            save_training_state(tmp_path / "last.pt", {"a": [value]})
    assert not (tmp_path / "last.pt").exists()
    torch.save([1], tmp_path / "last.pt")
    with pytest.raises(ModelError, match="not the state of a training"):
        load_training_state(tmp_path / "last.pt")


@pytest.mark.parametrize("kind", ["encoder", "synthesizer", "vocoder"])
def test_layout_is_the_original_one(reference, kind: str) -> None:
    expected = reference("layouts.json")["layouts"][kind]
    assert [[entry.name, list(entry.shape), entry.dtype] for entry in rtvc_layout(kind)] == expected


@pytest.mark.parametrize("kind", ["encoder", "vocoder"])
def test_export_writes_what_rtvc_reads(tmp_path: Path, kind: str) -> None:
    state = default_size_state(kind)
    first = next(name for name, tensor in state.items() if tensor.dim() == 2)
    state[first] += 0.25
    state = {name: t.half() if t.dim() == 2 else t for name, t in state.items() if not name.endswith("tracked")}
    architecture = {"encoder": "speaker_encoder", "vocoder": "wavernn"}[kind]
    checkpoint = Checkpoint(kind, architecture, {}, state, 42, {}, Path("m.safetensors"), "safetensors")
    content = torch.load(export_rtvc(checkpoint, tmp_path / "out.pt"), weights_only=True)
    assert [[n, tuple(t.shape), str(t.dtype)] for n, t in content["model_state"].items()] == [
        [entry.name, entry.shape, f"torch.{entry.dtype}"] for entry in rtvc_layout(kind)
    ]
    assert content["model_state"][first].unique().tolist() == [0.25]
    assert content.get("step") == (42 if kind == "encoder" else None)
    again = read_checkpoint(tmp_path / "out.pt", kind)
    assert torch.equal(again.state[first].half(), state[first])


def test_export_refuses_other_sizes_and_settings(tmp_path: Path) -> None:
    def export(**changes) -> None:
        fields = {"kind": "encoder", "architecture": "speaker_encoder", "config": {}, "step": 0, "card": {},
                  "state": default_size_state("encoder"), "path": Path("m.safetensors"), "format": "safetensors"}
        export_rtvc(Checkpoint(**(fields | changes)), tmp_path / "out.pt")

    with pytest.raises(ModelError, match=r"linear.weight is \(4, 4\), RTVC's is \(256, 256\)"):
        export(state={**default_size_state("encoder"), "linear.weight": torch.zeros(4, 4)})
    with pytest.raises(ModelError, match="its vocoder is wavernn, not vocos"):
        export(kind="vocoder", architecture="vocos")
    with pytest.raises(ModelError, match="front_end is 'arpabet', RTVC's is 'rtvc'"):
        export(kind="synthesizer", architecture="tacotron", state=default_size_state("synthesizer"),
               config={"front_end": "arpabet"})
    with pytest.raises(ModelError, match="mel.hop_length is 100, RTVC's is 160"):
        export(config={"mel": {"hop_length": 100}})
    assert not (tmp_path / "out.pt").exists()


def test_damaged_zip_directory(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "no model")
    with pytest.raises(ModelError, match="encoder.pt is broken"):
        read_checkpoint(path)


def test_weights_may_be_read_by_whom_the_description_may(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "encoder", kind="encoder", architecture="speaker_encoder", config={},
                            state={"linear.weight": torch.ones(2, 2)}, card={})
    assert path.stat().st_mode == path.with_suffix(".json").stat().st_mode
