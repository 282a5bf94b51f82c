"""demo_cli from its real ``main``, with real (tiny) checkpoints, from text and clip to a file."""

from pathlib import Path

import numpy as np
import pytest

from audio.io import load_wav, read_metadata
from toolbox.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(models_dir, tmp_path, monkeypatch, capsys):
    """``run(...)`` -> (exit code, stdout, stderr) of demo_cli with the tiny models, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main([*map(str, arguments), "-m", str(models_dir), "--cpu", "--no_sound"])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.parametrize("vocoder", ["default", "griffin-lim"])
def test_a_text_in_the_voice_of_a_clip(run, clip, tmp_path, vocoder):
    arguments = ["--reference", clip, "--text", "Hello you.", "--seed", 3, "--vocoder", vocoder]
    code, out, err = run(*arguments, "--output", "one.wav")
    assert code == 0 and out.startswith("one.wav: ") and out.endswith("seed 3\n")
    assert "Traceback" not in err
    wav = load_wav(tmp_path / "one.wav", 16000)
    assert 0.1 < len(wav) / 16000 < 10 and 0 < np.abs(wav).max() <= 0.98
    tags = read_metadata(tmp_path / "one.wav")
    assert (tags["synthetic"], tags["text"], tags["seed"]) == ("yes", "Hello you.", "3")
    assert tags["synthesizer"].startswith("default@") and len(tags["synthesizer"]) == len("default@") + 16
    assert tags["vocoder"].split("@")[0] == vocoder

    assert run(*arguments, "--output", "two.wav")[0] == 0
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()
    assert run(*arguments, "--output", "three.wav", "--seed", 4)[0] == 0
    assert (tmp_path / "one.wav").read_bytes() != (tmp_path / "three.wav").read_bytes()


def test_what_is_played_while_it_is_made_is_what_the_pipeline_returns(clip, models_dir, tmp_path, monkeypatch, capsys):
    from models.registry import ModelRegistry
    from tests.fake_sounddevice import Hardware
    from toolbox.pipeline import VoiceCloner

    hardware = Hardware(rate=16000).install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    text = "Here is one.\nThere is another.\nAnd three."
    job = ["--reference", clip, "--text", text, "--output", "o.wav", "--seed", 3, "--cpu", "-m", models_dir]
    assert main([str(argument) for argument in [*job, "--vocoder", "griffin-lim"]]) == 0, capsys.readouterr().err
    cloner = VoiceCloner(ModelRegistry((models_dir,)), vocoder="griffin-lim", device="cpu")
    wav = cloner.clone(text, clip, seed=3).wav
    np.testing.assert_array_equal(hardware.played[hardware.played != 0], wav[wav != 0])
    np.testing.assert_allclose(load_wav(tmp_path / "o.wav", 16000), wav, atol=1e-4)


def test_rtvc_files_as_model_flags(clip, rtvc_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["-e", rtvc_dir / "encoder.pt", "-s", rtvc_dir / "synthesizer.pt", "-v", rtvc_dir / "vocoder.pt"]
    job = ["--reference", clip, clip, "--text", "Hi.", "--output", "o.ogg", "--no_sound", "--no_mp3_support", "--cpu"]
    assert main([str(argument) for argument in [*job, *flags]]) == 0, capsys.readouterr().err
    assert len(load_wav(tmp_path / "o.ogg", 16000)) > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-s", "absent.pt"], "absent.pt"),
        (["-e", "no-such-set"], "no-such-set"),
        (["-v", "ENCODER"], "encoder"),
        (["--text", "\U0001f600"], "nothing to say"),
        (["--reference", "silence.wav"], "silen"),
        (["--reference", "text.txt"], "text.txt"),
    ],
)
def test_mistakes_are_one_line(run, clip, models_dir, tmp_path, arguments, words):
    import soundfile

    soundfile.write(tmp_path / "silence.wav", np.zeros(32000), 16000)
    (tmp_path / "text.txt").write_text("no sound")
    arguments = [str(models_dir / "default/encoder.safetensors") if a == "ENCODER" else a for a in arguments]
    code, out, err = run("--reference", clip, "--text", "Hi.", "--output", "o.wav", *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("demo_cli.py: ") and err.count("\n") == 1 and words in err
    assert not (tmp_path / "o.wav").exists()


def test_batch_with_real_networks_resumes(run, clip, tmp_path):
    rows = f"reference,text,output,seed\n{clip},Hi.,1.wav,1\n{clip},Ho.,2.wav,2\n"
    (tmp_path / "jobs.csv").write_text(rows)
    code, out, _ = run("--batch", "jobs.csv", "--vocoder", "griffin-lim")
    assert code == 0 and "2 written, 0 already there, 0 failed" in out
    (tmp_path / "1.wav").unlink()
    code, out, _ = run("--batch", "jobs.csv", "--vocoder", "griffin-lim")
    assert code == 0 and "1 written, 1 already there, 0 failed" in out


def test_the_script_in_a_process_of_its_own(python, models_dir, clip, tmp_path):
    flags = ["-m", models_dir, "--cpu", "--no_sound", "--vocoder", "griffin-lim"]
    done = python(REPOSITORY / "demo_cli.py", *flags, input=f"{clip}\nHello.\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("demo_output_00.wav: ") and "|" not in done.stderr
    assert len(load_wav(tmp_path / "demo_output_00.wav", 16000)) > 1000

    failed = python(REPOSITORY / "demo_cli.py", *flags, "--reference", "absent.wav", "--text", "Hi.")
    assert failed.returncode == 1 and failed.stderr == "demo_cli.py: absent.wav does not exist\n"


def test_help_and_imports_are_light(python):
    code = (
        "import sys; import toolbox.pipeline, toolbox.cli, toolbox.batch, toolbox.doctor, toolbox.player\n"
        "heavy = {'librosa', 'matplotlib', 'umap', 'sounddevice', 'soundfile', 'av', 'PyQt5', 'torch'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert "--reference" in python(REPOSITORY / "demo_cli.py", "--help").stdout
