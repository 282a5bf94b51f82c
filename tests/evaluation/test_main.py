"""The commands from end to end on tiny models and a tiny corpus, and the page."""

import json
from functools import partial

import pytest

import evaluation.__main__ as program
from audio.errors import Cancelled
from evaluation import clones, measures, speech, speed, vocoders
from evaluation.cache import FILE_NAME
from evaluation.installed import GRIFFIN_LIM_MODEL, installed_models, load_model
from evaluation.page import render
from evaluation.report import table
from models.registry import ModelRegistry


@pytest.fixture
def tiny(monkeypatch, registry):
    """The commands with the tiny models only, in sizes that take seconds."""
    for module in (program, vocoders):
        monkeypatch.setattr(module, "ModelRegistry", lambda *args: registry)
    monkeypatch.setattr(program, "QUICK", program.Sizes(copies=1, voices=3, takes=1, readings=1, sentences=2))
    monkeypatch.setattr(program, "make_sentences", lambda: ["Yes."] * 100 + ["No."] * 100)
    monkeypatch.setattr(speech, "ESPEAK", "no such program")
    # Dictation of an untrained network's noise takes seconds a clip; tests/evaluation/test_words.py tries the real one.
    heard = {"heard": "", "words": 6, "word_errors": 6, "letter_errors": 22, "identified": False}
    monkeypatch.setattr(speech, "recognise", lambda *args: dict(heard))
    monkeypatch.setattr(clones, "known_sentences", lambda texts: ["the cat sat on the mat"])
    monkeypatch.setattr(clones, "PACKAGE", "numpy")
    # An untrained Tacotron never stops of itself.
    for name, value in (("MAX_TRIES", 1), ("FRAMES_PER_SYMBOL", 1), ("EXTRA_FRAMES", 20)):
        monkeypatch.setattr(f"synthesizer.inference.{name}", value)
    figures = {"load_seconds": 1.0, "sound_seconds": 5.0, "threads": 1, "peak_mb": 100.0, "torch": "2"}
    stages = dict.fromkeys(("encoder", "synthesizer", "vocoder", "end to end"), 2.0)
    monkeypatch.setattr(program, "speed_figures", lambda *models: figures | stages)


def test_the_encoder_trained_here_is_measured_beside_the_default_one():
    registry = ModelRegistry([program.COMPARED])
    names = [model.name for model in installed_models(registry, "encoder")]
    assert names[-1] == "ge2e-128", "the default one comes first"
    assert all(model.left_out for model in installed_models(registry, "encoder") if model.name == "ge2e-128")
    assert "ge2e-128" not in [entry.name for entry in ModelRegistry().list()]


def test_a_page_is_written_and_a_second_run_computes_nothing(tiny, tmp_path, corpus, monkeypatch):
    out, cache = tmp_path / "docs", tmp_path / "cache"
    command = [str(corpus), "--quick", "-o", str(out), "--cache", str(cache), "-n", "1"]
    assert program.main(command) == 0
    page, figures = (out / "evaluation.md").read_text(), json.loads((out / "evaluation.json").read_text())
    for title in ("Models", "Speaker encoders", "Words", "Voice", "Alignment", "Vocoders", "Speed and memory"):
        assert f"## {title}" in page
    assert "too few speakers to hold any out" in page and "espeak-ng: left out" in page
    assert set(figures["words"]) == {"real recordings", "default with default", "default with griffin-lim"}
    assert figures["vocoders"]["the recording itself"]["mcd"] == 0
    assert figures["vocoders"]["default"]["mcd"] > figures["vocoders"]["griffin-lim"]["mcd"]
    assert figures["alignment"]["default"]["sentences"] == 2
    assert [model["left_out"] for model in figures["models"]] == [False, False, True]
    before = (cache / FILE_NAME).read_bytes()
    assert program.main(command) == 0
    assert (cache / FILE_NAME).read_bytes() == before
    assert json.loads((out / "evaluation.json").read_text()) == figures


def test_a_page_without_optional_packages(tiny, tmp_path, corpus, monkeypatch):
    for module in (program, clones, measures, vocoders):
        monkeypatch.setattr(module, "have", lambda package: False)
    command = [str(corpus), "--quick", "-o", str(tmp_path), "--cache", str(tmp_path), "-n", "1"]
    assert program.main(command) == 0
    page = (tmp_path / "evaluation.md").read_text()
    assert "PESQ-wb: not measured: `pip install pesq`" in page
    assert "words: not measured: `pip install pocketsphinx`" in page


def test_no_encoder_is_an_error_that_says_what_to_do(tiny, tmp_path, corpus, registry, capsys):
    (tmp_path / "models" / "default" / "encoder.safetensors").unlink()
    (tmp_path / "models" / "default" / "encoder.json").unlink()
    assert program.main([str(corpus), "--quick", "-o", str(tmp_path), "--cache", str(tmp_path)]) == 1
    assert "models fetch encoder" in capsys.readouterr().err


def test_the_vocoders_alone(tiny, tmp_path, corpus, capsys):
    weights = tmp_path / "models" / "default" / "vocoder.safetensors"
    command = [str(corpus), "--clips", "1", "--cache", str(tmp_path / "c"), "-n", "1"]
    assert vocoders.main([*command, "--vocoder", str(weights)]) == 0
    printed = capsys.readouterr().out
    assert str(weights) in printed and "griffin-lim" in printed and "the recording itself" in printed
    assert vocoders.main([*command, "--vocoder", "unheard-of"]) == 1
    assert "There is no vocoder" in capsys.readouterr().err


def test_a_vocoder_in_several_precisions(tiny, tmp_path, corpus, monkeypatch, capsys):
    heard = []

    def measure(clip, model):
        vocoder = load_model(model) if model and model != GRIFFIN_LIM_MODEL else None
        heard.append(vocoder and vocoder._ready().precision)
        return dict.fromkeys([*vocoders.COLUMNS, "speed"], 1.0)

    monkeypatch.setattr(vocoders, "measure_copy", measure)
    command = [str(corpus), "--clips", "1", "--cache", str(tmp_path / "c"), "-n", "1"]
    assert vocoders.main([*command, "--precision", "float32", "int8"]) == 0
    assert heard == [None, "float32", "int8", None]
    printed = capsys.readouterr().out
    assert "| default, float32 |" in printed and "| default, int8 |" in printed and "| griffin-lim |" in printed
    assert vocoders.main([*command, "--precision", "float32", "int16"]) == 0
    assert heard[4:] == ["int16"], "the others are in the cache"


def test_stopping_keeps_what_was_computed(tiny, tmp_path, corpus, monkeypatch, capsys):
    measure = partial(vocoders.measure_copy)
    done = []

    def stop_at_the_second(clip, model):
        done.append(clip)
        if len(done) == 2:
            raise Cancelled
        return measure(clip, model)

    monkeypatch.setattr(vocoders, "measure_copy", stop_at_the_second)
    command = [str(corpus), "--clips", "2", "--vocoder", "griffin-lim", "--cache", str(tmp_path / "c"), "-n", "1"]
    assert vocoders.main(command) == 130
    assert len((tmp_path / "c" / FILE_NAME).read_text().split()) >= 1
    monkeypatch.setattr(vocoders, "measure_copy", measure)
    assert vocoders.main(command) == 0


def test_the_speed_of_tiny_models(tiny, registry, capsys, monkeypatch):
    monkeypatch.setattr(speed, "TEXT", "Yes.")
    names = [str(installed_models(registry, kind)[0].path) for kind in ("encoder", "synthesizer")]
    assert speed.main([*names, GRIFFIN_LIM_MODEL.name]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["end to end"] > 0 and figures["sound_seconds"] > 0
    assert speed.main(["one"]) == 2


def test_tables_show_what_is_unknown():
    text = table(["a", "b", "c"], [["x", (1.25, 1), (None, 2)]])
    assert text == "| a | b | c |\n| --- | ---: | ---: |\n| x | 1.2 | – |\n"


def test_a_page_needs_only_what_was_measured():
    nothing = dict.fromkeys(("encoders", "words", "voice", "alignment", "vocoders"), {}) | {
        "settings": {"voices": 1, "takes": 1, "copies": 1},
        "corpus": {"name": "c", "by_rule": True, "speakers": 2},
        "machine": {"espeak": True},
        "packages": {"pesq": True},
        "models": [],
        "readers_rate": None,
    }
    page = render(nothing)
    assert "## Speed" not in page and "## Left out" not in page and "Measured on 2 adults" in page
