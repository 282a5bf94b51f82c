"""How well vocoders give back held-out recordings from their mels (copy synthesis); knows no text and no voices.

``python -m evaluation.vocoders CORPUS [--vocoder NAME_OR_PATH ...] [--clips 40]`` prints a table; without names, all
installed vocoders are measured. ``--precision float32 int16 int8`` measures what rounding the weights of those costs
that speak sample by sample.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from audio.mel import SYNTHESIZER_MEL, MelTransform
from evaluation.cache import DEFAULT_FOLDER, Cache, Value, cache_key, compute
from evaluation.data import SAMPLE_RATE, clip_hash, held_out, load, spread
from evaluation.installed import GRIFFIN_LIM_MODEL, Model, find_model, installed_models, load_model
from evaluation.measures import have, mean, mel_cepstral_distortion, pesq_wb, pitch_errors, stft_distance, stoi
from evaluation.report import Cell, progress_bar, table
from models.environment import prepare_environment
from models.registry import ModelRegistry
from training.cli import add_verbose_argument, run_command
from training.corpus import Utterance
from vocoder.config import PRECISIONS

VERSION = 1
"""Part of the cache's keys: raise it when ``measure_copy`` measures otherwise."""
SECONDS = 6.0
SEED = 0
COLUMNS = {
    "pesq": ("PESQ-wb ↑", 2),
    "stoi": ("STOI ↑", 3),
    "mcd": ("MCD dB ↓", 2),
    "stft": ("MR-STFT ↓", 3),
    "f0": ("F0 cents ↓", 1),
    "ffe": ("F0 frame error ↓", 3),
}
"""Measure -> (heading with what is better, digits)."""


def measure_copy(clip: Utterance, model: Model | None) -> Value:
    """Figures of a clip's copy by a vocoder, or of the clip itself (None)."""
    wav = load(clip, SECONDS)
    wav = wav[: SYNTHESIZER_MEL.hop_length * (len(wav) // SYNTHESIZER_MEL.hop_length)]
    speed = None
    copy = wav
    if model is not None:
        mel, vocoder = MelTransform(SYNTHESIZER_MEL)(wav), load_model(model)
        started = time.perf_counter()
        copy = vocoder.vocode(mel, seed=SEED)[: len(wav)]
        speed = len(wav) / SAMPLE_RATE / (time.perf_counter() - started)
    cents, lost = pitch_errors(wav, copy, SAMPLE_RATE)
    return {
        "pesq": pesq_wb(wav, copy, SAMPLE_RATE),
        "stoi": stoi(wav, copy, SAMPLE_RATE),
        "mcd": mel_cepstral_distortion(wav, copy, SAMPLE_RATE),
        "stft": stft_distance(wav, copy),
        "f0": cents,
        "ffe": lost,
        "speed": speed,
    }


def copy_synthesis(
    clips: Sequence[Utterance], models: Sequence[Model], cache: Cache, processes: int = 0
) -> dict[str, Value]:
    """Name -> mean figures: each model's, and those of "the recording itself"."""
    result = {}
    for model in (None, *models):
        name = ", ".join(filter(None, (model.name, model.precision))) if model else "the recording itself"
        settings = ["copy", VERSION, model.sha256 or model.name if model else "", have("pesq"), have("pystoi")]
        settings += [model.precision] if model and model.precision else []
        keys = [cache_key(settings, clip_hash(clip.path)) for clip in clips]
        with progress_bar(f"copies by {name}") as bar:
            rows = compute(cache, partial(measure_copy, model=model), clips, keys, processes=processes, progress=bar)
        done = [row for row in rows if row is not None]
        result[name] = {key: mean([row[key] for row in done]) for key in COLUMNS} | {"clips": len(done)}
        result[name]["speed"] = mean([row["speed"] for row in done])
    return result


def copy_table(figures: dict[str, Value]) -> str:
    """The figures as Markdown."""
    head = ["vocoder", *(title for title, _ in COLUMNS.values()), "x real time"]
    rows: list[list[Cell]] = [
        [name, *((row[key], digits) for key, (_, digits) in COLUMNS.items()), (row["speed"], 1)]
        for name, row in figures.items()
    ]
    return table(head, rows)


def _forms(model: Model, precisions: Sequence[str]) -> list[Model]:
    """The model as it is, or once with each precision, if it can have them."""
    if not precisions or model.architecture not in ("wavernn", "wavenet"):
        return [model]
    return [replace(model, precision=precision) for precision in precisions]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    prepare_environment()
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.vocoders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--vocoder", action="append", metavar="NAME_OR_PATH", help="repeat for more; default: all")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=[], metavar="P", help=str(PRECISIONS))
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--cache", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="default: one a core")
    add_verbose_argument(parser)
    args = parser.parse_args(argv)

    def command() -> None:
        registry = ModelRegistry()
        models = (
            [find_model(registry, "vocoder", name) for name in args.vocoder] + [GRIFFIN_LIM_MODEL]
            if args.vocoder
            else installed_models(registry, "vocoder")
        )
        models = [form for model in models for form in _forms(model, args.precision)]
        clips = spread(held_out(args.corpus).clips, args.clips)
        figures = copy_synthesis(clips, list(dict.fromkeys(models)), Cache(args.cache), args.n_processes)
        print(copy_table(figures))

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
