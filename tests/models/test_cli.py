"""The command ``models``: tables, exit statuses, errors on standard error."""

import argparse
from pathlib import Path

import pytest
import torch

from models import cli
from models.checkpoint import read_checkpoint, write_checkpoint
from models.rtvc_layout import rtvc_layout


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """``run("list", ...)`` -> exit status, standard output, standard error; ``tmp_path/mine`` is searched."""
    monkeypatch.setattr("models.registry.default_models_dir", lambda: tmp_path / "shipped")
    monkeypatch.setenv("VOICE_TOOLBOX_MODELS", str(tmp_path / "user"))

    def call(*words: str | Path) -> tuple[int, str, str]:
        parser = argparse.ArgumentParser()
        cli.add_arguments(parser.add_subparsers())
        arguments = [str(word) for word in ("models", *words)] + ["-m", str(tmp_path / "mine")]
        status = cli.run(parser.parse_args(arguments))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = {entry.name: torch.randn(entry.shape) for entry in rtvc_layout("encoder")}
    return write_checkpoint(tmp_path / "mine" / "alice" / "encoder", kind="encoder", architecture="speaker_encoder",
                            config={"hidden": 256}, state=state, card={"step": 1234, "data": "two voices"}, half=True)


def test_list(run, model: Path) -> None:
    status, out, _ = run("list")
    lines = out.splitlines()
    assert status == 0 and lines[0].split() == ["NAME", "KIND", "NETWORK", "SIZE", "WHERE"]
    assert lines[1].split()[0] == "alice" and str(model) in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["default-encoder", "rtvc-synthesizer", "rtvc-vocoder"]
    assert "rtvc" not in run("list", "--kind", "encoder")[1]


def test_info(run, model: Path) -> None:
    for name in ("alice", "alice-encoder", model):
        status, out, _ = run("info", name)
        assert status == 0
        for part in ("1,234", "two voices", "float16", "speaker_encoder", "config.hidden"):
            assert part in out
    status, out, err = run("info", "bob")
    assert (status, out) == (1, "") and "no model 'bob'" in err


def test_add(run, model: Path, tmp_path: Path) -> None:
    status, out, _ = run("add", model, "bob", "--half", "--card", "licence=free")
    assert status == 0 and out.strip() == str(tmp_path / "user" / "bob" / "encoder.safetensors")
    added = read_checkpoint(out.strip())
    assert added.card == {"step": 1234, "data": "two voices", "licence": "free"}
    assert added.state.keys() == read_checkpoint(model).state.keys()
    assert "bob" in run("list")[1]
    assert run("add", model, "bob", "--to", tmp_path / "else")[1].strip() == str(
        tmp_path / "else" / "bob" / "encoder.safetensors"
    )
    status, _, err = run("add", model, "../bob")
    assert status == 1 and "plain name" in err
    assert run("add", tmp_path / "nowhere.safetensors", "bob")[0] == 1


def test_export(run, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "saved_models" / "alice" / "encoder.pt"
    assert run("export", "alice", output)[0] == 0
    original, exported = read_checkpoint(model), read_checkpoint(output)
    assert exported.step == 1234
    assert all(torch.equal(exported.state[name], tensor.float()) for name, tensor in original.state.items())
    status, _, err = run("export", "rtvc-vocoder", tmp_path / "x.pt")
    assert status == 1 and "models fetch rtvc-vocoder" in err and not (tmp_path / "x.pt").exists()


def test_verify_and_record(run, model: Path) -> None:
    status, out, _ = run("verify")
    assert status == 1 and "models fetch default-encoder" in out and "2 models, 1 with a problem" in out
    assert run("verify", "--record", model.parent)[0] == 0
    assert "SHA-256 as recorded" in run("verify")[1]
    model.write_bytes(model.read_bytes()[:-1])
    assert "damaged" in run("verify")[1]
    model.with_suffix(".json").unlink()
    status, _, err = run("verify", "--record", model.parent)
    assert status == 1 and "encoder.json not found" in err


def test_fetch_of_an_unknown_name(run) -> None:
    status, out, err = run("fetch", "nothing")
    assert (status, out) == (1, "") and "choose from default-encoder" in err
