"""Voices survive the disk as they were, and a damaged one does not take the others along."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolbox import voices as module
from toolbox.voices import (
    Consent,
    Voice,
    VoiceError,
    VoiceExistsError,
    VoiceLibrary,
    blend,
    blend_voices,
    make_voice,
    random_voice,
    read_voice,
    voice_from_dict,
    voice_to_dict,
)


def embed(seed=0, size=256):
    values = np.maximum(np.random.default_rng(seed).standard_normal(size), 0).astype(np.float32)
    return values / np.linalg.norm(values)


@pytest.fixture
def library(tmp_path):
    return VoiceLibrary(tmp_path / "voices")


def test_a_voice_comes_back_bit_by_bit(library):
    voice = make_voice(
        "Änne O'Neil", [embed(1), embed(2)], notes="warm\nclose", consent=Consent.given_now(),
        clips=["a.wav", "b.wav"], encoder="default@0123",
    )  # fmt: skip
    assert library.list() == []
    library.save(voice)
    loaded = library.load("änne  o'neil")
    assert loaded == voice
    assert loaded.embed.tobytes() == voice.embed.tobytes()
    assert loaded.embed.dtype == np.float32
    assert loaded.source == "2 recordings"
    assert loaded.consent.agreed and loaded.consent.date
    centroid = embed(1) + embed(2)
    assert loaded.embed == pytest.approx(centroid / np.linalg.norm(centroid), abs=1e-6)


def test_names_are_unique_without_case_and_replaced_only_on_request(library):
    library.save(make_voice("Anna", embed(1)))
    with pytest.raises(VoiceExistsError, match="anna"):
        library.save(make_voice("anna", embed(2)))
    library.save(make_voice("anna", embed(2)), overwrite=True)
    assert [voice.name for voice in library.list()] == ["anna"]
    assert library.load("Anna").embed == pytest.approx(embed(2))


def test_different_names_with_the_same_file_name_do_not_meet(library):
    for number, name in enumerate(["a/b", "a\\b", "a:b", "../../evil", "CON", "...", "好", "x" * 80, "x" * 79]):
        library.save(make_voice(name, embed(number)))
    assert len(library.list()) == 9
    assert all(path.parent == library.folder for path in library.folder.rglob("*"))
    assert library.load("../../evil").embed == pytest.approx(embed(3))


def test_rename_update_delete(library):
    library.save(make_voice("Anna", embed(1)))
    library.save(make_voice("Ben", embed(2)))
    with pytest.raises(VoiceExistsError):
        library.rename("Anna", "ben")
    assert library.rename("Anna", "ANNA").name == "ANNA"
    library.rename("ANNA", "Carla")
    library.save(make_voice("Anna", embed(3)))
    assert library.load("Carla").embed == pytest.approx(embed(1))
    library.update("Carla", notes="deep", consent=Consent(True, "2026-01-02"))
    assert library.load("Carla").notes == "deep"
    assert library.update("Carla").consent == Consent(True, "2026-01-02")
    library.delete("Carla")
    assert [voice.name for voice in library.list()] == ["Anna", "Ben"]
    for call in (lambda: library.load("Carla"), lambda: library.delete("Carla"), lambda: library.rename("Carla", "x")):
        with pytest.raises(VoiceError, match="no voice named Carla"):
            call()


def test_export_and_import(library, tmp_path):
    library.save(make_voice("Anna", embed(1), notes="n"))
    path = library.export("Anna", tmp_path / "anna v1.5")
    assert path.name == "anna v1.5.json"
    imported = library.import_file(path)
    assert imported.name == "Anna (2)"
    assert library.import_file(path).name == "Anna (3)"
    assert library.load("Anna (2)").embed.tobytes() == library.load("Anna").embed.tobytes()
    with pytest.raises(VoiceError, match="no folder"):
        library.export("Anna", tmp_path / "missing" / "a.json")
    with pytest.raises(VoiceError, match="cannot be read"):
        library.import_file(tmp_path / "missing.json")


DAMAGED = {
    "empty": b"",
    "cut": b'{"name": "A", "embed": [0.1, 0.',
    "list": b"[1, 2]",
    "binary": bytes(range(256)),
    "deep": b"[" * 200_000,
    "no embed": b'{"name": "A"}',
    "short": b'{"name": "A", "embed": [1]}',
    "zeros": b'{"name": "A", "embed": [0, 0, 0]}',
    "nan": b'{"name": "A", "embed": [NaN, 1]}',
    "huge": b'{"name": "A", "embed": [1e400, 1]}',
    "long integer": b'{"name": "A", "embed": [1' + b"0" * 400 + b", 1]}",
    "text": b'{"name": "A", "embed": ["x", 1]}',
    "no list": b'{"name": "A", "embed": 5}',
    "no name": b'{"name": " ", "embed": [1, 2]}',
    "name is a number": b'{"name": 5, "embed": [1, 2]}',
    "notes": b'{"name": "A", "embed": [1, 2], "notes": [1]}',
    "clips": b'{"name": "A", "embed": [1, 2], "clips": "abc"}',
    "consent": b'{"name": "A", "embed": [1, 2], "consent": 1}',
    "newer": b'{"format": 2, "name": "A", "embed": [1, 2]}',
    "big": b" " * (1 << 20) + b"{}",
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_and_the_others_load(library, kind):
    library.save(make_voice("Good", embed(1)))
    bad = library.folder / "bad.json"
    bad.write_bytes(DAMAGED[kind])
    (library.folder / ".hidden.json").write_text("x")
    (library.folder / "notes.txt").write_text("x")
    found, damaged = library.scan()
    assert [voice.name for voice in found] == ["Good"]
    assert list(damaged) == [bad]
    assert str(bad) in str(damaged[bad])
    assert [voice.name for voice in library.list()] == ["Good"]
    with pytest.raises(VoiceError):
        library.import_file(bad)


def test_a_failed_write_leaves_the_old_voice(library, monkeypatch):
    library.save(make_voice("Anna", embed(1)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(VoiceError, match="No space left"):
        library.save(make_voice("Anna", embed(2)), overwrite=True)
    assert library.load("Anna").embed == pytest.approx(embed(1))
    assert len(list(library.folder.iterdir())) == 1


@pytest.mark.parametrize("name", ["", "  \n", "a\0b", "x" * 81, "\udc80"])
def test_names_that_cannot_be_used(name):
    with pytest.raises(VoiceError):
        make_voice(name, embed())


def test_embeddings_that_cannot_be_used():
    for values in (np.zeros((0, 256)), np.zeros(256), np.full(256, np.nan)):
        with pytest.raises(VoiceError):
            make_voice("A", values)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_blend_lies_on_the_way_between(first, second, t):
    a, b = embed(first), embed(second)
    mixed = blend(a, b, t)
    assert np.linalg.norm(mixed) == pytest.approx(1.0, abs=1e-5)
    assert (mixed >= 0).all()
    whole = np.arccos(np.clip(a @ b, -1, 1))
    assert np.arccos(np.clip(a @ mixed, -1, 1)) == pytest.approx(t * whole, abs=2e-3)


def test_blends_that_cannot_be_made():
    with pytest.raises(VoiceError, match="different encoders"):
        blend(embed(), embed(size=64), 0.5)
    with pytest.raises(VoiceError, match="opposites"):
        blend(embed(), -embed(), 0.5)
    with pytest.raises(ValueError, match="t must"):
        blend(embed(), embed(1), 1.5)
    with pytest.raises(VoiceError, match="different encoders"):
        blend_voices(make_voice("A", embed(1), encoder="x@1"), make_voice("B", embed(2), encoder="y@2"), 0.5)


def test_a_blended_voice_names_its_parents_and_needs_both_consents():
    a = make_voice("A", embed(1), consent=Consent(True, "2026-01-01"), encoder="renamed@1")
    b = make_voice("B", embed(2), consent=Consent(True, "2026-02-01"), encoder="default@1")
    both = blend_voices(a, b, 0.25)
    assert both.name == "A and B" and "25%" in both.source
    assert both.consent == Consent(True, "2026-02-01")
    assert not blend_voices(a, make_voice("C", embed(3)), 0.5, "mine").consent.agreed


def test_a_random_voice_is_the_pipelines(cloner):
    voice = random_voice(cloner, 7)
    assert (voice.name, voice.source) == ("Random 7", "random, seed 7")
    assert voice.embed == pytest.approx(cloner.random_voice(7))
    assert random_voice(SimpleNamespace(random_voice=embed), 8, "Nobody").name == "Nobody"


@given(st.text(max_size=60), st.text(max_size=20))
@settings(max_examples=40, deadline=None)
def test_any_notes_survive_json(notes, clip):
    notes, clip = (text.encode("utf-8", "ignore").decode() for text in (notes, clip))
    voice = Voice("A", embed(), notes=notes, clips=(clip,), created="2026")
    assert voice_from_dict(json.loads(json.dumps(voice_to_dict(voice)))) == voice


def test_voices_of_another_encoder_are_told_apart():
    voice = make_voice("A", embed(), encoder="default@1234")
    assert voice.fits("other-name@1234") and voice.fits("")
    assert not voice.fits("default@9999")
    assert voice in {voice}


def test_reading_names_the_file(tmp_path):
    path = tmp_path / "v.json"
    module._write(path, make_voice("A", embed(3)))
    assert read_voice(path).embed == pytest.approx(embed(3))
