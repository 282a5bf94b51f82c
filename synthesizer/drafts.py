"""Writes what a Tacotron makes of recordings when it hears itself: what a detailer has to work on.

``python -m synthesizer.drafts DATA MODEL`` adds ``drafts/<id>.npy`` to a folder that synthesizer.preprocess wrote, for
``synthesizer.detail``. A decoder that is fed the frames of a recording makes mels that are less smooth than those it
makes at inference. So it is fed those that it made itself, again and again (as Duckworth et al. 2019, arXiv 1906.04331,
do in training): with every pass the recording counts less, and yet the frames keep its timing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audio.errors import TrainingError
from models.device import choose_device
from models.registry import ModelRegistry
from synthesizer.dataset import SynthesizerDataset
from synthesizer.network import Tacotron
from synthesizer.text import get_front_end
from training.cli import add_verbose_argument, run_command
from training.corpus import DropReport, ManifestEntry, read_manifest, run_parallel
from training.holdout import trainable
from training.preprocessing import Progress, clip_bar, save_array

logger = logging.getLogger(__name__)

DRAFTS = "drafts"
"""Folder of the drafts: (T, n_mels) float16 each."""
PASSES = 3
"""After three a draft is about as smooth as a mel of inference."""
BATCH = 16


def write_drafts(
    data: Path,
    model: Path,
    *,
    clips: int = 0,
    strangeness: float = 0.0,
    all_speakers: bool = False,
    device: str | None = None,
    processes: int = 0,
    progress: Progress | None = None,
) -> DropReport:
    """Write ``data/drafts/<id>.npy`` for clips that have none yet.

    clips: so many at most, the speakers in turn; 0 for all. What exists is kept: delete the folder for another model.
    strangeness: how far at most each voice is moved towards another's, 0 to 1. A voice that the model was not trained
    on is drafted less well than those that it was, and so is a voice that is moved.

    Returns:
        What could not be drafted and why: clips without a text that can be spoken, mostly.

    Raises:
        TrainingError: no preprocessed data, or strangeness out of range. ModelError: the model cannot be used.
    """
    if not 0 <= strangeness <= 1:
        raise TrainingError(f"strangeness must be between 0 and 1, not {strangeness}.")
    entries = trainable([entry for entry in read_manifest(data) if entry.text], all_speakers)
    chosen = _in_turn(entries)[: clips or None]
    todo = [entry for entry in chosen if not (data / DRAFTS / f"{entry.id}.npy").exists()]
    # Clips of like length, as a batch is as long as its longest.
    todo.sort(key=lambda entry: entry.frames)
    batches = [tuple(todo[start : start + BATCH]) for start in range(0, len(todo), BATCH)]
    target = choose_device(device)
    work = partial(_draft, data=data, model=model, device=str(target), strangeness=strangeness)
    report = DropReport()
    for outcome in run_parallel(work, batches, 1 if target.type == "cuda" else processes, progress):
        for entry in outcome.item:
            if outcome.error is not None:
                report.add(entry.id, "failed", str(outcome.error))
            elif entry.id in (outcome.value or ()):
                report.add(entry.id, "no text that can be spoken")
    return report


def _in_turn(entries: Sequence[ManifestEntry]) -> list[ManifestEntry]:
    """One clip of every speaker, then another of every speaker that has two, and so on."""
    rounds: dict[str, int] = defaultdict(int)
    ranked = []
    for entry in sorted(entries, key=lambda entry: zlib.crc32(entry.id.encode())):
        ranked.append((rounds[entry.speaker], entry))
        rounds[entry.speaker] += 1
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def _draft(entries: Sequence[ManifestEntry], data: Path, model: Path, device: str, strangeness: float) -> list[str]:
    """Drafts of a batch; returns the ids of those without one."""
    network = _network(model, device)
    dataset = SynthesizerDataset(data, entries, get_front_end(network.cfg.front_end))
    # As at inference, the voice is known from another clip where there is one.
    rng = np.random.default_rng(zlib.crc32(entries[0].id.encode()))
    batch = dataset.collate(range(len(dataset.items)), network.r, rng).to(torch.device(device))
    batch = replace(batch, embeds=estranged(batch.embeds, strangeness, rng))
    torch.manual_seed(int(rng.integers(2**31)))
    drafts = draft(network, batch).transpose(1, 2).to(torch.float16).cpu().numpy()
    spoken = [entry for entry in entries if entry.id not in dataset.unspeakable]
    for entry, mel in zip(spoken, drafts, strict=True):
        save_array(data / DRAFTS / f"{entry.id}.npy", mel[: entry.frames])
    return dataset.unspeakable


def estranged(embeds: torch.Tensor, strangeness: float, rng: np.random.Generator) -> torch.Tensor:
    """embeds (B, 256), each moved towards another of the batch by up to ``strangeness`` of the way."""
    others = embeds[torch.from_numpy(rng.permutation(len(embeds)))]
    shares = torch.from_numpy(rng.random((len(embeds), 1), dtype=np.float32) * strangeness).to(embeds)
    return torch.nn.functional.normalize(torch.lerp(embeds, others, shares), dim=1)


@torch.inference_mode()
def draft(network: Tacotron, batch: Any, passes: int = PASSES) -> torch.Tensor:
    """Mels (B, n_mels, T) of a ``SynthesizerBatch``, after the post-net."""
    mels = batch.mels
    for _ in range(passes):
        out = network(batch.ids, batch.lengths, mels, batch.embeds, batch.frame_lengths)
        mels = out.mels
    return out.mels_post


@lru_cache(maxsize=1)
def _network(model: Path, device: str) -> Tacotron:
    """One a worker process."""
    network = ModelRegistry().load(model, "synthesizer", torch.device(device))
    if not isinstance(network, Tacotron):
        raise TrainingError(f"{model} is not a Tacotron.")
    return network.eval()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m synthesizer.drafts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_root", type=Path, help="folder that synthesizer.preprocess wrote")
    parser.add_argument("model", type=Path, help="the synthesizer")
    parser.add_argument("--clips", type=int, default=0, metavar="N", help="so many at most, the speakers in turn")
    parser.add_argument(
        "--strangeness", type=float, default=0.0, metavar="S", help="draft each voice as if it were unknown, 0 to 1"
    )
    parser.add_argument("--all_speakers", action="store_true", help="also those that evaluation keeps for itself")
    parser.add_argument("--device", help="cpu, cuda or cuda:N; default: the best there is")
    parser.add_argument("-n", "--n_processes", type=int, default=0, help="on a CPU; default: one a core")
    add_verbose_argument(parser)
    args = parser.parse_args(argv)

    def command() -> None:
        with clip_bar() as show:
            report = write_drafts(
                args.data_root,
                args.model,
                clips=args.clips,
                strangeness=args.strangeness,
                all_speakers=args.all_speakers,
                device=args.device,
                processes=args.n_processes,
                progress=show,
            )
        logger.info("%s", report.summary())

    return run_command(command, args.verbose)


if __name__ == "__main__":
    sys.exit(main())
