"""The floor that is a program of the system."""

import sys

import numpy as np
import pytest

from evaluation import speech
from evaluation.speech import System, Take
from evaluation.voices import Voice


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
@pytest.mark.parametrize(("sex", "stock"), [("F", "en-us+f3"), ("M", "en-us"), (None, "en-us")])
def test_espeak_says_the_text_in_a_voice_of_that_sex(tmp_path, monkeypatch, sex, stock):
    program = tmp_path / "espeak-ng"
    program.write_text(
        f"#!{sys.executable}\nimport sys, wave\n"
        "assert sys.argv[1:4:2] == ['-v', '-w'] and sys.argv[5:] == ['--', '-hi']\n"
        f"assert sys.argv[2] == '{stock}'\n"
        "with wave.open(sys.argv[4], 'wb') as w:\n"
        "    w.setnchannels(1); w.setsampwidth(2); w.setframerate(22050); w.writeframes(b'\\x00\\x10' * 22050)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert speech.have_espeak()
    wav, notes = speech._say(Take(Voice("v", sex, "s", ()), "-hi"), System("espeak-ng"))
    assert len(wav) == 16000 and np.abs(wav).max() > 0.1 and notes == {}
