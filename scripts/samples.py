"""Pairs of a reference and its clone for docs/samples: python -m scripts.samples [--out docs/samples] [CLIP ...]

The bundled clip, further clips of voices that may be published, and voices of people who do not exist say the same
sentences. The page beside the sounds names the models, the seed and how alike clone and reference are.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models.environment import prepare_environment

if TYPE_CHECKING:
    import numpy as np

    from toolbox.pipeline import VoiceCloner

BUNDLED = Path("toolbox/assets/reference.flac")
SENTENCES = (
    "The weather is nice today, so we are going to the park.",
    "She put the letter on the table. Nobody had seen the ship arrive!",
)
FICTITIOUS = (1, 4)
"""Seeds of the voices that belong to nobody."""
SEED = 1


def main() -> int:
    """Write the sounds and the page; returns the exit code."""
    prepare_environment()
    parser = argparse.ArgumentParser(prog="python -m scripts.samples", description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="references that may be published, with the bundled one")
    parser.add_argument("--out", type=Path, default=Path("docs/samples"))
    args = parser.parse_args()
    from toolbox.pipeline import VoiceCloner
    from training.files import write_text

    args.out.mkdir(parents=True, exist_ok=True)
    write_text(args.out / "README.md", make(VoiceCloner(device="cpu"), [BUNDLED, *args.clips], args.out))
    return 0


def make(cloner: VoiceCloner, clips: list[Path], out: Path) -> str:
    """Write the sounds into ``out``; returns the page."""
    from audio.io import load_wav, save_wav

    models = ", ".join(f"{model.kind} {model.name}@{model.sha256[:8]}" for model in cloner.model_info())
    lines = [
        "# Samples\n",
        f"Made by `python -m scripts.samples` with {models}, seed {SEED}; every clone carries the program's marks.",
        "The references are voices of Debian's flite, which are free, and fictitious speakers have none.\n",
        *(f"{number}. {text}" for number, text in enumerate(SENTENCES, 1)),
        "\n| voice | reference | 1 | 2 | cosine to the reference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for clip in clips:
        name = clip.stem
        save_wav(out / f"{name}-reference.ogg", load_wav(clip, 16000), 16000)
        lines.append(_row(cloner, name, cloner.embed_reference(clip), f"[{name}]({name}-reference.ogg)", out))
    for seed in FICTITIOUS:
        lines.append(_row(cloner, f"fictitious-{seed}", cloner.random_voice(seed), "none", out))
    return "\n".join(lines) + "\n"


def _row(cloner: VoiceCloner, name: str, embed: np.ndarray, reference: str, out: Path) -> str:
    cells, likeness = [], []
    for number, text in enumerate(SENTENCES, 1):
        speech = cloner.clone(text, embed, seed=SEED)
        path = out / f"{name}-{number}.ogg"
        speech.save(path)
        cells.append(f"[{len(speech.wav) / speech.sample_rate:.1f} s]({path.name})")
        likeness.append(f"{cloner.similarity(speech, embed):.2f}")
    return f"| {name} | {reference} | {' | '.join(cells)} | {', '.join(likeness)} |"


if __name__ == "__main__":
    sys.exit(main())
