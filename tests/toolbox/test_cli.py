"""demo_cli's arguments, prompts, exit codes and messages, with stand-in models."""

import io
import sys
import threading

import numpy as np
import pytest

from tests.fake_sounddevice import Hardware, wait_until
from toolbox import cli


@pytest.fixture
def hardware(monkeypatch):
    return Hardware(rate=16000).install(monkeypatch)


@pytest.fixture
def run(cloner, hardware, tmp_path, monkeypatch, capsys):
    """``run("--text", ..., stdin=...)`` -> (exit code, stdout, stderr) in an empty folder, with fast models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_make_cloner", lambda args: cloner)

    def call(*arguments, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:
            code = exit_.code
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("audio-")]
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_one_shot(run, clip, tmp_path):
    code, out, err = run("--reference", clip, "--text", "Hello.", "--output", "new/out.flac", "--seed", 5)
    assert (code, err) == (0, "")
    assert out == "new/out.flac: 0.2 s, seed 5\n"
    assert (tmp_path / "new/out.flac").stat().st_size > 100


def test_slow_speech_takes_longer(run, clip):
    for speed, seconds in ((1, "0.2 s"), (0.5, "0.5 s")):
        assert seconds in run("--reference", clip, "--text", "Hello.", "--output", "o.wav", "--speed", speed)[1]


def test_the_same_seed_writes_the_same_file(run, clip, tmp_path):
    for name in ("a", "b"):
        assert run("--reference", clip, clip, "--text", "Hello.", "--output", name, "--seed", 5)[0] == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_outputs_are_numbered_and_never_overwritten(run, clip, tmp_path):
    (tmp_path / "demo_output_00.wav").write_bytes(b"mine")
    for number in (1, 2):
        code, out, _ = run("--reference", clip, "--text", "Hello.", "--no_sound")
        assert code == 0 and out.startswith(f"demo_output_0{number}.wav")
    assert (tmp_path / "demo_output_00.wav").read_bytes() == b"mine"


@pytest.mark.parametrize("arguments", [["--text_file", "text.txt"], ["--text_file", "-"], []])
def test_text_from_a_file_and_from_a_pipe(run, clip, tmp_path, arguments):
    (tmp_path / "text.txt").write_text("\ufeffHello there.\n", encoding="utf-8")
    code, out, err = run("--reference", clip, *arguments, "--output", "o.wav", stdin="Hello there.\n")
    assert (code, err) == (0, "") and "0.6 s" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--text", "Hello."],
        ["--output", "x.wav"],
        ["--reference", "c.wav", "--text", "a", "--text_file", "b"],
        ["--reference", "c.wav", "--text", "a", "--output", "x.mp4"],
        ["--reference", "c.wav", "--text", "a", "--output", "."],
        ["--reference", "c.wav", "--text", "a", "--cpu", "--device", "cuda"],
        ["--reference", "c.wav", "--text", "a", "-v", "x.pt", "--vocoder", "griffin-lim"],
        ["--batch", "jobs.csv", "--text", "a"],
        ["--seed", "many"],
        ["--reference", "c.wav", "--text", "a", "--speed", "3"],
        ["--speed", "nan"],
        ["--unknown"],
    ],
)
def test_wrong_usage_is_two_and_one_line(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("demo_cli.py: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["--reference", "absent.wav", "--text", "a"], "", "absent.wav does not exist"),
        (["--reference", ".", "--text", "a"], "", "is a folder"),
        (["--reference", "clip.wav", "--text", " "], "", "no text to say"),
        (["--reference", "clip.wav"], "", "no text to say"),
        (["--reference", "clip.wav", "--text_file", "absent.txt"], "", "absent.txt cannot be read"),
        (["--reference", "clip.wav", "--text_file", "clip.wav"], "", "not text in UTF-8"),
        (["--batch", "absent.csv"], "", "absent.csv"),
    ],
)
def test_failures_are_one_and_one_line(run, clip, tmp_path, arguments, stdin, words):
    code, out, err = run(*arguments, stdin=stdin)
    assert (code, out) == (1, "")
    assert err.startswith("demo_cli.py: ") and err.count("\n") == 1 and words in err
    assert not list(tmp_path.glob("demo_output*"))


def test_unexpected_failures_are_one_line_too_and_verbose_shows_where(run, clip, cloner, monkeypatch):
    monkeypatch.setattr(cloner.vocoder, "vocode", lambda *args, **kwargs: 1 // 0, raising=False)
    code, _, err = run("--reference", clip, "--text", "Hello.")
    assert code == 1 and err.count("\n") == 1 and "ZeroDivisionError" in err and "--verbose" in err
    code, _, err = run("--reference", clip, "--text", "Hello.", "--verbose")
    assert code == 1 and err.rstrip().splitlines()[-1].startswith("demo_cli.py: ZeroDivisionError")


def test_playback_failure_never_loses_the_wav(run, clip, tmp_path, monkeypatch):
    Hardware(outputs=()).install(monkeypatch)
    code, out, err = run("--reference", clip, "--text", "Hello. You.", "--output", "o.wav")
    assert code == 0 and (tmp_path / "o.wav").stat().st_size > 1000
    assert err.startswith("demo_cli.py: not played, but the file is written: No loudspeaker") and err.count("\n") == 1
    assert run("--reference", clip, "--text", "Hello.", "--output", "o.wav", "--no_sound")[2] == ""


def test_it_plays_while_it_makes_the_rest(run, hardware, clip, cloner, tmp_path, monkeypatch):
    """The second group is made only when the first is heard."""
    real = cloner.vocoder.vocode

    def vocode(mel, **options):
        if cloner.vocoder.runs == 1:
            wait_until(lambda: hardware.played.any())
        return real(mel, **options)

    monkeypatch.setattr(cloner.vocoder, "vocode", vocode)
    code, out, err = run("--reference", clip, "--text", "One two. Three.", "--output", "o.wav", "--seed", 3)
    assert (code, err) == (0, "") and cloner.vocoder.runs == 2
    wav = cloner.clone("One two. Three.", clip, seed=3).wav
    # Without zeros: silence plays where the second piece is late.
    np.testing.assert_array_equal(hardware.played[hardware.played != 0], wav[wav != 0])


def test_an_error_in_a_later_sentence_ends_the_sound(run, hardware, clip, cloner, monkeypatch, tmp_path):
    real = cloner.vocoder.vocode
    monkeypatch.setattr(cloner.vocoder, "vocode", lambda mel, **o: 1 // 0 if cloner.vocoder.runs else real(mel, **o))
    code, out, err = run("--reference", clip, "--text", "One two. Three.", "--output", "o.wav")
    assert (code, out) == (1, "") and "ZeroDivisionError" in err and not (tmp_path / "o.wav").exists()
    assert not any(stream.open for stream in hardware.streams)


def test_the_loop_asks_for_clip_and_sentence_until_the_end(run, clip, tmp_path):
    code, out, err = run(stdin=f"'{clip}'\nHello.\n\"{clip}\"\nGood bye.\n")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["demo_output_00.wav: 0.2 s, seed " + out.splitlines()[0].split()[-1]] + [
        "demo_output_01.wav: 0.4 s, seed " + out.splitlines()[1].split()[-1]
    ]
    assert len(list(tmp_path.glob("demo_output_*.wav"))) == 2


def test_the_loop_goes_on_past_a_mistake(run, clip):
    code, out, err = run(stdin=f"absent.wav\nHello.\n{clip}\n\n{clip}\nHello.\n")
    assert code == 1 and out.startswith("demo_output_00.wav") and out.count("\n") == 1
    lines = err.splitlines()
    assert len(lines) == 2 and "absent.wav" in lines[0] and "no text" in lines[1]


def test_batch_summary_and_exit_code(run, clip, tmp_path):
    (tmp_path / "jobs.csv").write_text("reference,text,output\nclip.wav,One.,1.wav\nclip.wav,,2.wav\n")
    code, out, err = run("--batch", "jobs.csv")
    assert code == 1
    assert out.splitlines()[-1] == "jobs.csv: 1 written, 0 already there, 1 failed"
    assert err == "demo_cli.py: jobs.csv line 3: no text\n"
    (tmp_path / "jobs.csv").write_text("reference,text,output\nclip.wav,One.,1.wav\n")
    assert run("--batch", "jobs.csv")[:2] == (0, "jobs.csv: 0 written, 1 already there, 0 failed\n")


def test_control_c_says_so(run, clip, cloner, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cloner.synthesizer, "stream", interrupt)
    assert run("--reference", clip, "--text", "Hello.") == (130, "", "demo_cli.py: stopped\n")


def test_no_bar_when_piped_and_one_on_a_terminal(monkeypatch):
    with cli._bar() as progress:
        assert progress is None

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with cli._bar() as progress:
        for done in (0, 40, 100):
            progress(done, 100)
    assert "100%" in screen.getvalue()
