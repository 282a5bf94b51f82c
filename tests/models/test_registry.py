"""The registry: what it finds, in which order, how fast, and that what it builds is ready."""

import hashlib
import json
import subprocess
import sys
import types
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from audio.errors import ModelError
from models.checkpoint import write_checkpoint
from models.registry import ModelRegistry
from models.sums import write_sums

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class StubConfig:
    hidden: int = 4

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "StubConfig":
        return cls(**values)

    @classmethod
    def from_state_dict(cls, state: dict) -> "StubConfig":
        return cls(state["linear.weight"].shape[1])


class StubNetwork(nn.Module):
    def __init__(self, cfg: StubConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, cfg.hidden)
        self.linear = nn.Linear(cfg.hidden, cfg.hidden)
        self.dropout = nn.Dropout(0.5)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the program's models folder; the user's is beside it."""
    monkeypatch.setattr("models.registry.default_models_dir", lambda: tmp_path / "shipped")
    monkeypatch.setenv("VOICE_TOOLBOX_MODELS", str(tmp_path / "user"))
    (tmp_path / "shipped" / "default").mkdir(parents=True)
    stub = types.ModuleType("stub_architecture")
    stub.StubNetwork, stub.StubConfig = StubNetwork, StubConfig
    monkeypatch.setitem(sys.modules, "stub_architecture", stub)
    return tmp_path / "shipped"


@pytest.fixture
def registry(shipped: Path, catalog: Path):
    stub = ("stub_architecture", "StubNetwork", "stub_architecture", "StubConfig")
    return lambda *roots: ModelRegistry(
        roots, architectures={"speaker_encoder": stub, "stub": stub, "wavernn": stub}, catalog=catalog
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """One shipped and one user's model, fetched from a file address."""
    items = []
    for set_name, kind, architecture, place in (
        ("default", "encoder", "speaker_encoder", "shipped"), ("rtvc", "vocoder", "wavernn", "user")
    ):
        source = tmp_path / f"{set_name}-source.pt"
        source.write_bytes(f"{kind} weights".encode())
        items.append({
            "set": set_name, "kind": kind, "architecture": architecture, "place": place, "file": f"{kind}.pt",
            "aliases": [kind] if place == "shipped" else [], "bytes": source.stat().st_size, "title": f"Public {kind}",
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(), "licence": "free",
            "sources": [{"url": source.as_uri()}],
        })
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"format": 1, "models": items}))
    return path


def put(folder: Path, stem: str, kind: str = "encoder", hidden: int = 4, architecture: str = "stub") -> Path:
    torch.manual_seed(hidden)
    return write_checkpoint(folder / stem, kind=kind, architecture=architecture, config={"hidden": hidden},
                            state=StubNetwork(StubConfig(hidden)).state_dict(), card={"step": 1, "licence": "MIT"})


def put_rtvc(path: Path, hidden: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model_state": StubNetwork(StubConfig(hidden)).state_dict()}, path)
    return path


def test_names_follow_folders_and_variants(registry, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    put(root / "alice", "encoder")
    put(root / "alice", "encoder-small", hidden=2)
    put(root / "run1", "best")
    put(root / "run1", "backup_000100")
    put_rtvc(root / "old" / "encoder.pt")
    put_rtvc(root / "alice" / "encoder.pt", hidden=9)
    (root / "notes").mkdir()
    (root / "notes" / "readme.txt").write_text("no model")
    found = {entry.name: entry for entry in registry(root).list("encoder") if entry.installed}
    assert sorted(found) == ["alice", "alice-small", "old", "run1", "run1-backup_000100", "run1-best"]
    assert found["alice"].path == root / "alice" / "encoder.safetensors" and found["alice"].licence == "MIT"
    assert found["old"].architecture == "speaker_encoder"
    assert registry(root).load("alice-small", "encoder").cfg.hidden == 2
    assert registry(root).load("alice", "encoder").cfg.hidden == 4


def test_first_folder_wins(registry, shipped: Path, tmp_path: Path) -> None:
    put(shipped / "default", "encoder", hidden=3)
    put(tmp_path / "user" / "default", "encoder", hidden=5)
    put(tmp_path / "user" / "extra", "encoder", hidden=6)
    put(tmp_path / "mine" / "default", "encoder", hidden=7)
    assert registry().load("default", "encoder").cfg.hidden == 3
    assert registry(tmp_path / "mine").load("default", "encoder").cfg.hidden == 7
    assert registry().load("extra", "encoder").cfg.hidden == 6
    alone = ModelRegistry(tmp_path / "mine", standard_roots=False)
    assert [entry.name for entry in alone.list("encoder") if entry.installed] == ["default"]


def test_loaded_network_is_ready(registry, tmp_path: Path) -> None:
    for path in (put(tmp_path / "m" / "a", "encoder"), put_rtvc(tmp_path / "m" / "b" / "encoder.pt")):
        network = registry().load(path, "encoder", "cpu")
        assert isinstance(network, StubNetwork) and not network.training and network.cfg == StubConfig(4)
        assert not network.dropout.training
    by_folder = registry().load(tmp_path / "m" / "a", "encoder")
    reference = registry(tmp_path / "m").load("a", "encoder")
    assert torch.equal(by_folder.linear.weight, reference.linear.weight)


def test_full_names_and_several_kinds(registry, tmp_path: Path) -> None:
    root = tmp_path / "mine"
    put(root / "both", "encoder")
    put(root / "both", "vocoder", kind="vocoder")
    assert registry(root).find("both-vocoder").kind == "vocoder"
    assert registry(root).find("both", "encoder").kind == "encoder"
    with pytest.raises(ModelError, match="several models: say which of both-encoder, both-vocoder"):
        registry(root).find("both")


def test_errors_say_what_there_is(registry, tmp_path: Path) -> None:
    put(tmp_path / "mine" / "alice", "encoder")
    with pytest.raises(ModelError, match="no encoder 'bob'. Installed: alice. Searched: .*mine"):
        registry(tmp_path / "mine").find("bob", "encoder")
    with pytest.raises(ModelError, match="models fetch rtvc-vocoder"):
        registry().load("rtvc", "vocoder")
    with pytest.raises(ModelError, match="Unknown device 'toaster'"):
        registry(tmp_path / "mine").load("alice", "encoder", "toaster")
    with pytest.raises(ModelError, match="gone.pt does not exist"):
        registry().load(tmp_path / "gone.pt", "encoder")
    with pytest.raises(ModelError, match="does not hold a vocoder"):
        registry().find(tmp_path / "mine" / "alice", "vocoder")


def test_models_that_do_not_fit_their_network(registry, tmp_path: Path) -> None:
    path = put(tmp_path / "m" / "a", "encoder")
    with pytest.raises(ModelError, match="is a speaker encoder, but a vocoder was expected"):
        registry().load(path, "vocoder")
    for config, message in (({"hidden": 5}, "does not fit StubNetwork"), ({"size": 4}, "does not have the sizes"),
                            ({"hidden": "x"}, "does not have the sizes"), ({"hidden": -1}, "does not have the sizes")):
        write_checkpoint(path, kind="encoder", architecture="stub", config=config, card={},
                         state=StubNetwork(StubConfig()).state_dict())
        with pytest.raises(ModelError, match=f"encoder.safetensors {message}"):
            registry().load(path, "encoder")
    with pytest.raises(ModelError, match="needs the network 'unheard'"):
        registry().load(put(tmp_path / "m" / "b", "encoder", architecture="unheard"), "encoder")


def test_broken_description_hides_one_model_only(registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "mine" / "good", "encoder")
    put(tmp_path / "mine" / "bad", "encoder").with_suffix(".json").write_text("{")
    names = [entry.name for entry in registry(tmp_path / "mine").list("encoder") if entry.installed]
    assert names == ["good"] and "bad" in caplog.text
    with pytest.raises(ModelError, match="encoder.json is not valid JSON"):
        registry(tmp_path / "mine").find(tmp_path / "mine" / "bad" / "encoder.safetensors", "encoder")


def test_fetch_puts_shipped_and_users_models_in_their_places(registry, shipped: Path, tmp_path: Path) -> None:
    offered = {entry.full_name: entry for entry in registry().list()}
    assert set(offered) == {"default-encoder", "rtvc-vocoder"} and not any(e.installed for e in offered.values())
    seen: list[tuple[int, int]] = []
    (encoder,) = registry().fetch("encoder", lambda done, total: seen.append((done, total)))
    assert encoder.path == shipped / "default" / "encoder.pt" and encoder.installed and seen[-1] == (15, 15)
    (vocoder,) = registry().fetch("rtvc")
    assert vocoder.path == tmp_path / "user" / "rtvc" / "vocoder.pt" and vocoder.path.is_file()
    assert all(entry.installed for entry in registry().list())
    with pytest.raises(ModelError, match="choose from default-encoder, rtvc-vocoder"):
        registry().fetch("nothing")


def test_verify(registry, shipped: Path, tmp_path: Path) -> None:
    def verdicts(*roots: Path) -> dict[str, tuple[str, str]]:
        return {v.entry.full_name: (v.status, v.message) for v in registry(*roots).verify()}

    assert verdicts()["default-encoder"][0] == "missing"
    assert "models fetch default-encoder" in verdicts()["default-encoder"][1]
    (encoder,) = registry().fetch("encoder")
    vocoder = put(shipped / "default", "vocoder", kind="vocoder")
    write_sums(shipped / "default", ["vocoder.safetensors", "vocoder.json"])
    own = put(tmp_path / "mine" / "alice", "encoder")
    done: list[tuple[int, int]] = []
    assert {v.status for v in registry(tmp_path / "mine").verify(lambda *n: done.append(n))} == {"ok"}
    assert done == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert registry().find("default", "vocoder").sha256 == hashlib.sha256(vocoder.read_bytes()).hexdigest()

    encoder.path.write_bytes(b"x" * encoder.size)
    own.write_bytes(own.read_bytes()[:-9])
    described = vocoder.with_suffix(".json")
    described.write_text(described.read_text().replace('"step": 1', '"step": 2'))
    found = verdicts(tmp_path / "mine")
    assert {name: status for name, (status, _) in found.items()} == dict.fromkeys(
        ("default-encoder", "default-vocoder", "alice-encoder"), "damaged"
    )
    assert "models fetch default-encoder" in found["default-encoder"][1]
    assert "vocoder.json" in found["default-vocoder"][1] and "alice" in found["alice-encoder"][1]
    vocoder.unlink()
    assert verdicts()["default-vocoder"][0] == "missing"


def test_users_own_model_of_the_public_size_is_not_called_damaged(registry, catalog: Path, tmp_path: Path) -> None:
    path = put_rtvc(tmp_path / "mine" / "own" / "encoder.pt")
    data = json.loads(catalog.read_text())
    data["models"][0]["bytes"] = path.stat().st_size
    catalog.write_text(json.dumps(data))
    verdict = next(v for v in registry(tmp_path / "mine").verify() if v.entry.name == "own")
    assert verdict.status == "ok" and "no SHA-256 is recorded" in verdict.message
    data["models"][0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    catalog.write_text(json.dumps(data))
    verdict = next(v for v in registry(tmp_path / "mine").verify() if v.entry.name == "own")
    assert "Public encoder" in verdict.message


def test_listing_does_not_import_torch() -> None:
    code = ("import sys; from models.registry import ModelRegistry; from models import cli; from models.environment "
            "import prepare_environment; prepare_environment(); assert ModelRegistry().list(); "
            "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_catalog_holds_the_public_files(reference, shared_dir: Path) -> None:
    text = (shared_dir / "reference" / "README.md").read_text(encoding="utf-8")
    models = ModelRegistry().catalog
    assert [model.entry.full_name for model in models] == ["default-encoder", "rtvc-synthesizer", "rtvc-vocoder"]
    for model in models:
        assert f"| {model.entry.path.name} | {model.entry.size:,} | {model.entry.sha256} |" in text
