"""The figures as a page to read; knows what they mean, not how they came about."""

from __future__ import annotations

from collections.abc import Iterator

from evaluation.cache import Value
from evaluation.encoders import CHANNELS
from evaluation.report import Cell, table
from evaluation.vocoders import copy_table
from evaluation.words import DECOYS, SWAPPED
from synthesizer.speed import CHARS_PER_SECOND

_INSTALL = {
    "pocketsphinx": "words",
    "pesq": "PESQ-wb",
    "pystoi": "STOI",
    "speechmos": "DNSMOS",
    "onnxruntime": "DNSMOS",
}


def render(figures: Value) -> str:
    """docs/evaluation.md."""
    parts = (_opening, _models, _encoders, _words, _voice, _alignment, _vocoders, _speed, _missing)
    return "\n".join(line for part in parts for line in part(figures))


def _opening(figures: Value) -> Iterator[str]:
    sizes, corpus = figures["settings"], figures["corpus"]
    yield "# Evaluation\n"
    yield "Written by `python -m evaluation CORPUS`; the figures are also in `evaluation.json`.\n"
    if corpus["by_rule"]:
        yield (
            f"Measured on {corpus['speakers']} adults of {corpus['name']} whom the rule in `training/holdout.py` keeps "
            f"out of every training: up to {sizes['voices']} voices, sentences in each: {sizes['takes']}, "
            f"{sizes['copies']} copies by each vocoder.\n"
        )
    else:
        yield f"**{corpus['name']} has too few speakers to hold any out: models may have been trained on these.**\n"
    yield "Beside each figure stands what real recordings score (mostly the ceiling) and a simple floor.\n"


def _models(figures: Value) -> Iterator[str]:
    yield "## Models\n"
    rows: list[list[Cell]] = [
        [f"{model['kind']} {model['name']}", model["architecture"], (model["size"] / 1e6, 1), model["sha256"][:12],
         "yes" if model["left_out"] else "not recorded"]
        for model in figures["models"]
    ]  # fmt: skip
    yield table(["model", "network", "MB", "SHA-256", "held-out speakers left out"], rows)
    if any(not model["left_out"] for model in figures["models"]):
        yield (
            '"Not recorded": the model is older than the rule, began with the weights of one that is, or comes from '
            "elsewhere. The synthesizer of this program began with one that was trained on adults of speechocean762 "
            "without the rule; of those held out now that one had left out its six validation speakers. Neither saw a "
            "held-out voice of LibriSpeech.\n"
        )


def _encoders(figures: Value) -> Iterator[str]:
    yield "## Speaker encoders: equal error rate ↓\n"
    kinds = [f"{channel} {kind}" for channel in CHANNELS for kind in ("centroid", "pairs")]
    head = ["encoder", "centroid of 3", "all pairs", "mild channel: centroid", "pairs",
            "strong channel: centroid", "pairs"]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, *(_percent(row[kind]) for kind in kinds)] for name, row in figures["encoders"].items()
    ]
    yield table(head, rows)
    yield (
        "Trials are within a split of the corpus. Each speaker has one session, so that the plain rates are partly a "
        "test of microphones; for the others every utterance was filtered at random (mildly: deviation of 6 dB; "
        "strongly: 12 dB, as `encoder.augment`), amplified and noised (5 to 40 dB). "
        "Filters leave the deviations of cepstra alone, which favours the floor.\n"
    )


def _words(figures: Value) -> Iterator[str]:
    yield "## Words\n"
    head = ["speech", "sentence identified ↑", "WER ↓", "CER ↓", "DNSMOS ↑", "clips"]
    rows: list[list[Cell]] = [
        [name, (row["identified"], 3), (row["wer"], 3), (row["cer"], 3), (row["mos"], 2), (row["items"], 0)]
        for name, row in figures["words"].items()
    ]
    yield table(head, rows)
    yield (
        "pocketsphinx listens: once with its own language model (word and letter errors), once choosing among the "
        f"spoken sentences and {DECOYS} decoys that differ from one of them by {SWAPPED} words. The sentences are the "
        "transcripts of the real recordings; where their readers are accented, as in speechocean762, the recogniser "
        "errs much on them as well, and a clear synthetic voice may pass them: they are no upper bound.\n"
    )


def _voice(figures: Value) -> Iterator[str]:
    yield "## Voice\n"
    head = ["speech", "cosine to the speaker's other clips ↑", "to other speakers", "nearest speaker is right ↑", "of",
            "EER ↓", "F0 correlation ↑", "women", "men", "changed sides ↓", "clips"]  # fmt: skip
    rows: list[list[Cell]] = []
    for name, row in figures["voice"].items():
        pitch = row["pitch"]
        rows.append(
            [name, (row["own"], 3), (row["others"], 3), _percent(row["nearest"]), (row["candidates"], 0),
             _percent(row["eer"]), (pitch["all"], 2), (pitch["F"], 2), (pitch["M"], 2), (pitch["confused"], 0),
             (row["items"], 0)]
        )  # fmt: skip
    yield table(head, rows)
    yield (
        "Voices are embedded by the default encoder and compared within a split of the corpus. The reference is two "
        "recordings (or the first 6 s of a single one); the clones are compared with the speaker's others. F0 is the "
        "median pitch of a clip, its logarithm correlated with the reference's. A clip changes sides when its F0 is on "
        "the other sex's side of the middle between the sexes' means and that of its reference is not.\n"
    )


def _alignment(figures: Value) -> Iterator[str]:
    if not figures["alignment"]:
        return
    yield "## Alignment\n"
    head = ["synthesizer", "sentences", "failed ↓", "needed another try ↓", "segments failed ↓",
            "letters a second", "length / expected", "outside half to double ↓"]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, (row["sentences"], 0), _percent(row["failed"]), _percent(row["failed_at_first"]),
         _percent(row["failed_segments"]), (row["rate"], 1), (row["duration"], 2), _percent(row["duration_off"])]
        for name, row in figures["alignment"].items()
    ]  # fmt: skip
    yield table(head, rows)
    yield (
        "Made-up sentences of 1 to 60 words, one in each voice in turn. A sentence fails when after all tries a "
        "segment of it skips, repeats, holds a sound, lacks its end or does not stop (`synthesizer.alignment`). The "
        f"expected length is that at {CHARS_PER_SECOND:g} letters a second (`synthesizer.speed`)"
        + (f"; the held-out readers take their time, {rate:.1f}.\n" if (rate := figures["readers_rate"]) else ".\n")
    )
    for name, row in figures["alignment"].items():
        by_words = ", ".join(f"{words}: {_percent(rate)}" for words, rate in row["failed_by_words"].items())
        yield f"- {name}, failed by number of words: {by_words}."
        if row["problems"]:
            counts = ", ".join(f"{problem} ({count})" for problem, count in sorted(row["problems"].items()))
            yield f"- {name}, what failed: {counts}."
    yield ""


def _vocoders(figures: Value) -> Iterator[str]:
    yield "## Vocoders: copies of held-out recordings\n"
    yield copy_table(figures["vocoders"])
    yield (
        "From the mel spectrogram of a recording back to sound, compared with that recording. MCD: mel-cepstral "
        "distortion; MR-STFT: distance of spectra at three resolutions; F0 frame error: share of 10 ms in which "
        "pitch is lost or made up.\n"
    )


def _speed(figures: Value) -> Iterator[str]:
    speed = figures.get("speed")
    if not speed:
        return
    yield "## Speed and memory of the default models\n"
    stages = ("encoder", "synthesizer", "vocoder", "end to end")
    yield table(["", *stages], [["x real time", *((speed[stage], 1) for stage in stages)]])
    size = sum(model["size"] for model in figures["models"] if model["name"] == "default") / 1e6
    peak = f", peak memory {speed['peak_mb']:.0f} MB" if speed["peak_mb"] else ""
    yield (
        f"A sentence of {speed['sound_seconds']:.1f} s in {speed['sound_seconds'] / speed['end to end']:.1f} s; "
        f"loading took {speed['load_seconds']:.1f} s{peak}; the models have {size:.0f} MB together. {speed['threads']} "
        f"threads on {figures['machine']['cores']} cores ({figures['machine']['processor']}), torch {speed['torch']}; "
        "other work on the machine slows it.\n"
    )


def _missing(figures: Value) -> Iterator[str]:
    missing = [name for name, there in figures["packages"].items() if not there]
    lines = [
        f"- {_INSTALL[name]}: not measured: `pip install {name}` (requirements-evaluation.txt)." for name in missing
    ]
    if not figures["machine"]["espeak"]:
        lines.append("- espeak-ng: left out, as the program is not on this machine.")
    if lines:
        yield "## Left out\n"
        yield from lines
        yield ""


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
