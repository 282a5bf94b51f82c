"""A script as users of Real-Time-Voice-Cloning have it runs unchanged."""

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from encoder import inference as encoder
from synthesizer.inference import Synthesizer
from vocoder import inference as vocoder

models, clip = Path(sys.argv[1]), sys.argv[2]
encoder.load_model(models / "encoder.pt")
w = encoder.preprocess_wav(clip)
e = encoder.embed_utterance(w)
specs = Synthesizer(models / "synthesizer.pt").synthesize_spectrograms(["Hello you."], [e])
vocoder.load_model(models / "vocoder.pt")
wav = vocoder.infer_waveform(specs[0])
assert encoder.is_loaded() and vocoder.is_loaded()
assert specs[0].shape[0] == 80 and wav.ndim == 1 and np.isfinite(wav).all()
print(e.shape, len(wav) == 200 * (specs[0].shape[1] - 1))
"""


def test_rtvc_names(python, rtvc_dir, clip, tmp_path):
    (tmp_path / "old_script.py").write_text(SCRIPT)
    done = python(tmp_path / "old_script.py", rtvc_dir, clip)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(16,) True\n"


def test_three_lines_of_python(python, models_dir, clip, tmp_path):
    code = (
        "from models.registry import ModelRegistry; from toolbox.pipeline import VoiceCloner\n"
        f"cloner = VoiceCloner(ModelRegistry([{str(models_dir)!r}]), device='cpu')\n"
        f"speech = cloner.clone('Hi.', {str(clip)!r}, seed=1)\n"
        "print(speech.save('hi.wav'), speech.alignment.ndim, speech.embed.shape)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hi.wav 2 (16,)\n" and (tmp_path / "hi.wav").stat().st_size > 1000
