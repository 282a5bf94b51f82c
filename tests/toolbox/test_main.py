"""``python -m toolbox``."""

import pytest

from toolbox import __main__ as program
from toolbox import cli


def test_marks_of_a_generated_file_and_of_another(cloner, clip, tmp_path, capsys):
    path = cloner.clone("Hello.", clip, seed=3, speed=0.75).save(tmp_path / "o.wav")
    assert program.main(["marks", str(path)]) == 0
    out = capsys.readouterr().out
    assert "is synthetic speech" in out and "Hello." in out and "0.75" in out and "fake-vocoder" in out
    assert program.main(["marks", str(clip)]) == 1
    assert "no mark" in capsys.readouterr().out
    assert program.main(["marks", str(tmp_path / "absent.wav")]) == 1
    assert capsys.readouterr().err.startswith("toolbox: ")


def test_run_without_a_display_writes_a_wav(cloner, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("toolbox.doctor.display_name", lambda: "")
    monkeypatch.setattr(cli, "_make_cloner", lambda args: cloner)
    assert program.main(["run"]) == 0
    assert (tmp_path / "demo_output_00.wav").stat().st_size > 1000
    out = capsys.readouterr().out
    assert "demo_output_00.wav" in out and "The weather is nice today" in out


def test_the_bundled_clip_can_be_read():
    from audio.io import load_wav
    from toolbox.doctor import REFERENCE_CLIP

    assert 5 < len(load_wav(REFERENCE_CLIP, 16000)) / 16000 < 8


def test_a_command_is_needed():
    with pytest.raises(SystemExit) as exit_:
        program.main([])
    assert exit_.value.code == 2
