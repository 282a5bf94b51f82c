"""``python -m evaluation CORPUS``: measures the installed models on held-out speech and writes docs/evaluation.md.

CORPUS is a folder of speech in LibriSpeech's layout. What was computed is kept, so that a stopped or repeated run only
does what is missing. ``--quick`` takes minutes and says little; the default takes long on few cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from audio.errors import ModelError
from evaluation.cache import DEFAULT_FOLDER, Cache, Value
from evaluation.clones import (
    RECORDINGS,
    Listener,
    alignment_figures,
    clone_voice_figures,
    read_voices,
    real_voice_figures,
    speaking_rate,
    word_figures,
    write_script,
)
from evaluation.data import HeldOut, held_out, spread
from evaluation.encoders import encoder_figures
from evaluation.installed import GRIFFIN_LIM_MODEL, Model, installed_models
from evaluation.measures import have
from evaluation.page import render
from evaluation.sentences import make_sentences
from evaluation.speech import System, have_espeak, takes_for
from evaluation.speed import speed_figures
from evaluation.vocoders import copy_synthesis
from evaluation.voices import choose_voices
from models.environment import prepare_environment
from models.registry import ModelRegistry
from training.cli import add_verbose_argument, run_command
from training.files import write_text

logger = logging.getLogger(__name__)

COMPARED = Path(__file__).parent / "models"
"""Models that are measured beside the installed ones and are not offered for use: an encoder trained here, whose
embeddings mean nothing to the default synthesizer."""
PACKAGES = ("pocketsphinx", "pesq", "pystoi", "speechmos", "onnxruntime")


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    copies: int = 60
    """Clips that each vocoder gives back."""
    voices: int = 40
    """Held-out voices that are cloned."""
    takes: int = 4
    """Sentences in each cloned voice."""
    readings: int = 60
    """Real recordings that are listened to."""
    sentences: int = 200
    """Sentences of 1 to 60 words that are tried."""


QUICK = Sizes(copies=8, voices=16, takes=1, readings=12, sentences=16)


def evaluate(registry: ModelRegistry, corpus: Path, sizes: Sizes, cache: Cache, processes: int = 0) -> Value:
    """All figures as plain values; see evaluation.page for what they are.

    Raises:
        ModelError: no encoder, without which no voice can be compared. TrainingError: no speech in the corpus.
    """
    models = {kind: installed_models(registry, kind) for kind in ("encoder", "synthesizer", "vocoder")}
    if not models["encoder"]:
        raise ModelError("There is no speaker encoder to measure with: python -m toolbox models fetch encoder")
    data = held_out(corpus)
    figures: Value = {
        "settings": asdict(sizes),
        "corpus": {"name": corpus.resolve().name, "by_rule": data.by_rule, "speakers": len(data.speakers)},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "espeak": have_espeak()},
        "packages": {name: have(name) for name in PACKAGES},
        "models": [
            asdict(model) | {"path": None} for kind in models for model in models[kind] if model != GRIFFIN_LIM_MODEL
        ],
        "vocoders": copy_synthesis(spread(data.clips, sizes.copies), models["vocoder"], cache, processes),
    }
    figures |= _voices(models, data, sizes, cache, processes)
    if models["synthesizer"]:
        encoder, synthesizer, vocoder = (models[kind][0] for kind in models)
        logger.info("speed of the default models")
        try:
            figures["speed"] = speed_figures(encoder, synthesizer, vocoder)
        except subprocess.CalledProcessError as error:
            logger.warning("The speed could not be measured: %s", error.stderr.strip().splitlines()[-1:])
    return figures


def _voices(models: dict[str, list[Model]], data: HeldOut, sizes: Sizes, cache: Cache, processes: int) -> Value:
    encoder = models["encoder"][0]
    voices = choose_voices(data, sizes.voices)
    book = read_voices(voices, encoder, cache, processes)
    script = write_script(data)
    listener = Listener(encoder, script, cache, processes)
    readings = listener.hear_readings(script.readings[: sizes.readings])
    result: Value = {
        "encoders": encoder_figures(voices, models["encoder"], cache, processes),
        "words": {RECORDINGS: word_figures(readings)},
        "voice": {RECORDINGS: real_voice_figures(book)},
        "alignment": {},
        "readers_rate": speaking_rate(readings),
    }
    if not script.texts:
        return result
    vocoders = dict.fromkeys((models["vocoder"][0], GRIFFIN_LIM_MODEL))
    systems = [
        System(f"{synthesizer.name} with {vocoder.name}", encoder, synthesizer, vocoder)
        for synthesizer in models["synthesizer"]
        for vocoder in vocoders
    ] + [System("espeak-ng, a voice of that sex")] * have_espeak()
    takes = takes_for(book.voices, [text + "." for text in script.texts], sizes.takes)
    for system in systems:
        heard = listener.hear(system, takes)
        result["words"][system.name] = word_figures([value for _, value in heard])
        result["voice"][system.name] = clone_voice_figures(book, heard)
    texts = make_sentences()[:: max(1, 200 // sizes.sentences)]
    for synthesizer in models["synthesizer"]:
        result["alignment"][synthesizer.name] = alignment_figures(
            book.voices, texts, encoder, synthesizer, cache, processes
        )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    prepare_environment()
    parser = argparse.ArgumentParser(
        prog="python -m evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="folder of speech, for example LibriSpeech")
    parser.add_argument("--quick", action="store_true", help="a few clips of everything")
    parser.add_argument("-m", "--models_dir", type=Path, action="append", help="further folders of models; repeatable")
    parser.add_argument("-o", "--out_dir", type=Path, default=Path("docs"), help="default: docs")
    parser.add_argument("--cache", type=Path, default=DEFAULT_FOLDER, help=f"default: {DEFAULT_FOLDER}")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    add_verbose_argument(parser)
    args = parser.parse_args(argv)

    def command() -> None:
        registry = ModelRegistry([*(args.models_dir or ()), COMPARED])
        sizes = QUICK if args.quick else Sizes()
        figures = evaluate(registry, args.corpus, sizes, Cache(args.cache), args.n_processes)
        write_text(args.out_dir / "evaluation.json", json.dumps(figures, indent=1, sort_keys=True) + "\n")
        write_text(args.out_dir / "evaluation.md", render(figures))
        logger.info("written: %s", args.out_dir / "evaluation.md")

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
