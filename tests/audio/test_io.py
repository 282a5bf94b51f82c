"""Every kind of file loads, every kind of damage has a name, and a failed save leaves the old file."""

import errno
import io
import logging
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audio import errors
from audio.io import AUDIO_SUFFIXES, SAVE_SUFFIXES, load_wav, read_metadata, save_wav
from audio.signal import resample

SOUNDFILE_KINDS = [
    ("a.wav", "WAV", "PCM_U8", 0.02),
    ("a.wav", "WAV", "PCM_16", 1e-4),
    ("a.wav", "WAV", "PCM_24", 1e-5),
    ("a.wav", "WAV", "PCM_32", 1e-6),
    ("a.wav", "WAV", "FLOAT", 1e-7),
    ("a.wav", "WAV", "DOUBLE", 1e-7),
    ("a.flac", "FLAC", "PCM_16", 1e-4),
    ("a.ogg", "OGG", "VORBIS", 0.1),
    ("a.opus", "OGG", "OPUS", 0.1),
    ("a.mp3", "MP3", None, 0.1),
    ("a.aiff", "AIFF", "PCM_16", 1e-4),
]


def tone(seconds=1.0, sample_rate=16000, hz=440.0):
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate)).astype(np.float32)


def encoded(wav, kind="WAV", subtype="PCM_16", sample_rate=16000):
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", sample_rate, 1, format=kind, subtype=subtype) as file:
        for start in range(0, len(wav), 4096):
            file.write(wav[start : start + 4096])
    return buffer.getvalue()


def riff(data=b"\1\0" * 1000, *, rate=16000, channels=1, size=None):
    fmt = struct.pack("<HHIIHH", 1, channels, rate, min(2 * channels * rate, 2**32 - 1), 2 * channels, 16)
    sizes = struct.pack("<I", 36 + len(data)), struct.pack("<I", len(data) if size is None else size)
    return b"RIFF" + sizes[0] + b"WAVEfmt \x10\0\0\0" + fmt + b"data" + sizes[1] + data


def encode_av(path, wav, sample_rate, layout):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=sample_rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.atleast_2d(wav), format="fltp", layout=layout)
        frame.sample_rate = sample_rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


@pytest.mark.parametrize("name, kind, subtype, tolerance", SOUNDFILE_KINDS)
@pytest.mark.parametrize("sample_rate, channels", [(16000, 1), (48000, 2), (8000, 1)])
def test_formats_rates_and_channels(tmp_path, name, kind, subtype, tolerance, sample_rate, channels):
    source = tone(1.0, sample_rate)
    path = tmp_path / name
    soundfile.write(path, np.stack([source] * channels, axis=1), sample_rate, format=kind, subtype=subtype)
    wav = load_wav(path, 16000)
    assert wav.dtype == np.float32 and wav.ndim == 1
    assert abs(len(wav) - 16000) <= (2500 if kind == "MP3" else 2)
    if kind != "MP3":
        np.testing.assert_allclose(wav[2000:14000], tone()[2000:14000], atol=tolerance + 1e-3)
    assert np.abs(wav[2000:14000]).max() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", ["a.m4a", "a.aac", "a.mp4", "misleading.wav"])
@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_aac_without_an_ffmpeg_program(tmp_path, monkeypatch, name, layout):
    monkeypatch.setenv("PATH", "")
    source = tone(1.0, 44100)
    made = tmp_path / ("made.m4a" if name.endswith(".wav") else name)
    encode_av(made, source if layout == "mono" else np.stack([source, source]), 44100, layout)
    path = made.rename(tmp_path / name)
    wav = load_wav(path, 16000)
    assert 15500 < len(wav) < 18500
    assert np.abs(wav[3000:12000]).max() == pytest.approx(0.5, abs=0.05)
    assert np.abs(np.fft.rfft(wav[2000:12000])).argmax() == pytest.approx(275, abs=1)  # 440 Hz


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([np.full(100, 0.5), np.zeros(100)], axis=1), 16000, subtype="FLOAT")
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav", 16000), 0.25)


def test_resampling_in_blocks_equals_resampling_at_once(tmp_path, speechlike, monkeypatch):
    source = speechlike(2.0, 44100)
    soundfile.write(tmp_path / "a.wav", source, 44100, subtype="FLOAT")
    monkeypatch.setattr("audio.io.BLOCK_FRAMES", 1000)
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav", 16000), resample(source, 44100, 16000), atol=1e-5)


def test_first_seconds_only(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(3.0, 44100), 44100)
    part = load_wav(tmp_path / "a.wav", 16000, max_seconds=1.25)
    assert len(part) == 20000
    np.testing.assert_allclose(part[:19000], load_wav(tmp_path / "a.wav", 16000)[:19000], atol=1e-3)


def test_more_than_thirty_minutes_in_bounded_memory(tmp_path):
    minutes = 31
    path = tmp_path / "long.wav"
    data = riff(size=minutes * 60 * 8000 * 2, data=b"", rate=8000)
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + minutes * 60 * 8000 * 2)  # a sparse file: silence without writing it
    tracemalloc.start()
    wav = load_wav(path, 4000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert abs(len(wav) - minutes * 60 * 4000) <= 2
    assert peak < wav.nbytes + 8e6


@pytest.mark.parametrize(
    "content, error, words",
    [
        (b"", errors.EmptyAudioError, "0 bytes"),
        (b"<html>not found</html>", errors.NotAudioError, "No sound"),
        (b"hello\n" * 500, errors.NotAudioError, "No sound"),
        (bytes(5000), errors.NotAudioError, "No sound"),
        (np.random.default_rng(0).bytes(20000), errors.NotAudioError, "No sound"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), errors.NotAudioError, "No sound"),
        (riff(b""), errors.EmptyAudioError, "without any sound"),
        (riff()[:30], errors.TruncatedAudioError, "cut off"),
        (encoded(tone(), "OGG", "VORBIS")[:1000], errors.TruncatedAudioError, "cut off"),
        (encoded(tone(), "FLAC")[:60], errors.TruncatedAudioError, "cut off"),
        (riff(rate=0), errors.AudioError, "damaged"),
        (riff(rate=1), errors.UnsupportedAudioError, "1 Hz"),
        (riff(rate=4_000_000_000), errors.AudioError, "damaged"),
        (riff(channels=0), errors.AudioError, "damaged"),
        (riff(channels=1000, data=bytes(4000)), errors.UnsupportedAudioError, "1000 channels"),
        (encoded(np.array([0, np.nan, 0], np.float32), subtype="FLOAT"), errors.NonFiniteAudioError, "not numbers"),
        (encoded(np.array([0, np.inf, 0], np.float32), subtype="FLOAT"), errors.NonFiniteAudioError, "infinite"),
    ],
)
@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".m4a", ""])
def test_bad_content_is_named(tmp_path, content, error, words, suffix):
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(content)
    with pytest.raises(error, match=words) as caught:
        load_wav(path, 16000)
    assert str(path) in str(caught.value)


def test_bad_paths_are_named(tmp_path):
    with pytest.raises(errors.AudioMissingError, match="no file"):
        load_wav(tmp_path / "none.wav", 16000)
    with pytest.raises(errors.AudioMissingError, match="folder"):
        load_wav(tmp_path, 16000)
    with pytest.raises(errors.AudioError, match="cannot be read"):
        load_wav("null\0byte.wav", 16000)
    with pytest.raises(errors.AudioError, match="cannot be read"):
        load_wav(tmp_path / ("x" * 300), 16000)
    with pytest.raises(errors.UnsupportedAudioError, match="sample rate"):
        load_wav(tmp_path / "none.wav", 0)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(errors.AudioMissingError, match="pipe"):
        load_wav(tmp_path / "pipe.wav", 16000)


def test_forbidden_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(riff())
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything

        def forbid(self, *args, **kwargs):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", forbid)
    with pytest.raises(errors.AudioAccessError, match="permissions"):
        load_wav(path, 16000)


@pytest.mark.parametrize(
    "kind, subtype", [("WAV", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("FLAC", "PCM_16")]
)
def test_file_that_ends_early_gives_what_it_holds(tmp_path, caplog, kind, subtype):
    noise = 0.1 * np.random.default_rng(0).standard_normal(20 * 16000).astype(np.float32)
    data = encoded(noise, kind, subtype)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with caplog.at_level(logging.WARNING, "audio.io"):
        wav = load_wav(path, 16000)
    assert 7 < len(wav) / 16000 < 15
    if kind != "OGG":  # its pages do not say how many are to come
        assert "cut off" in caplog.text


def damage_middle(path, n_bytes):
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + n_bytes] = b"\xff" * n_bytes
    path.write_bytes(data)


def test_damage_in_the_middle_is_named_with_its_place(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(10 * 16000).astype(np.float32)
    encode_av(tmp_path / "a.m4a", noise, 16000, "mono")
    damage_middle(tmp_path / "a.m4a", 3000)
    with pytest.raises(errors.TruncatedAudioError, match=r"damaged .*after [45]\.\d s"):
        load_wav(tmp_path / "a.m4a", 16000)


def test_damage_that_a_decoder_gets_over_is_logged(tmp_path, caplog):
    noise = 0.1 * np.random.default_rng(0).standard_normal(20 * 16000).astype(np.float32)
    (tmp_path / "a.flac").write_bytes(encoded(noise, "FLAC"))
    damage_middle(tmp_path / "a.flac", 30000)
    assert 15 < len(load_wav(tmp_path / "a.flac", 16000)) / 16000 < 20
    assert "damaged" in caplog.text


def test_mp3_of_changing_bit_rate_without_a_header_is_read_to_its_end(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * 16000).astype(np.float32)
    parts = []
    for level in (0.1, 0.9):
        soundfile.write(tmp_path / "part", noise, 16000, format="MP3", compression_level=level, bitrate_mode="CONSTANT")
        data = (tmp_path / "part").read_bytes()
        parts.append(data[data.index(data[:2], 100) :])  # without the first frame, which holds the Xing header
    (tmp_path / "a.mp3").write_bytes(b"".join(parts))
    assert len(load_wav(tmp_path / "a.mp3", 16000)) / 16000 == pytest.approx(10, abs=0.5)


def test_damaged_mp3_is_read_by_the_decoder_that_gets_over_it(tmp_path, caplog):
    noise = 0.1 * np.random.default_rng(0).standard_normal(10 * 16000).astype(np.float32)
    (tmp_path / "a.mp3").write_bytes(encoded(noise, "MP3", None))
    damage_middle(tmp_path / "a.mp3", 700)
    assert 4 < len(load_wav(tmp_path / "a.mp3", 16000)) / 16000 <= 10
    assert "damaged" in caplog.text


def test_wav_with_the_suffix_of_headerless_sound(tmp_path):
    (tmp_path / "a.raw").write_bytes(riff())
    assert len(load_wav(tmp_path / "a.raw", 16000)) == 1000


def test_header_of_a_stream_is_no_truncation(tmp_path, caplog):
    (tmp_path / "a.wav").write_bytes(riff(size=2**32 - 1))
    assert len(load_wav(tmp_path / "a.wav", 16000)) == 1000
    assert not caplog.records


def test_floats_on_an_integer_scale_are_brought_to_full_scale(tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(tone() * 32767, subtype="FLOAT"))
    assert np.abs(load_wav(tmp_path / "a.wav", 16000)).max() == pytest.approx(1.0)
    (tmp_path / "b.wav").write_bytes(encoded(tone() * 3, subtype="FLOAT"))
    assert np.abs(load_wav(tmp_path / "b.wav", 16000)).max() == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize("suffix", SAVE_SUFFIXES)
def test_saved_sound_loads_again(tmp_path, suffix):
    path = tmp_path / f"künstlich 声{suffix}"
    save_wav(path, tone(), 16000)
    np.testing.assert_allclose(load_wav(path, 16000), tone(), atol=0.1 if suffix == ".ogg" else 1e-4)
    assert os.listdir(tmp_path) == [path.name]
    assert suffix in AUDIO_SUFFIXES


@pytest.mark.parametrize(
    "name, subtype, stored",
    [
        ("a.wav", "PCM_16", "PCM_16"),
        ("a.WAV", "FLOAT", "FLOAT"),
        ("a.wav", "PCM_24", "PCM_24"),
        ("a.flac", "PCM_24", "PCM_24"),
        ("a.ogg", "PCM_16", "VORBIS"),
    ],
)
def test_subtypes(tmp_path, name, subtype, stored):
    save_wav(tmp_path / name, tone(0.1)[:-1], 16000, subtype=subtype, metadata={"text": "odd"})
    assert soundfile.info(tmp_path / name).subtype == stored
    assert read_metadata(tmp_path / name) == {"text": "odd"}
    assert len(load_wav(tmp_path / name, 16000)) == 1599


def test_long_ogg_does_not_crash_the_encoder(tmp_path):
    save_wav(tmp_path / "a.ogg", np.zeros(16000 * 240, np.float32), 16000)
    assert soundfile.info(tmp_path / "a.ogg").frames == 16000 * 240


def test_clipping_is_logged_and_does_not_wrap(tmp_path, caplog):
    loud = 4 * tone()
    save_wav(tmp_path / "a.wav", loud, 16000)
    assert "clipped" in caplog.text
    np.testing.assert_allclose(load_wav(tmp_path / "a.wav", 16000), np.clip(loud, -1, 1), atol=1e-4)
    save_wav(tmp_path / "b.wav", loud, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(load_wav(tmp_path / "b.wav", 16000), loud)


@pytest.mark.parametrize(
    "name, wav, options, error",
    [
        ("a.wav", np.array([0.0, np.nan]), {}, errors.NonFiniteAudioError),
        ("a.wav", np.array([0.0, np.inf]), {}, errors.NonFiniteAudioError),
        ("a.wav", np.zeros(0), {}, errors.EmptyAudioError),
        ("a.xyz", np.zeros(9), {}, errors.UnsupportedAudioError),
        ("a", np.zeros(9), {}, errors.UnsupportedAudioError),
        ("a.flac", np.zeros(9), {"subtype": "FLOAT"}, errors.UnsupportedAudioError),
        ("a.wav", np.zeros(9), {"subtype": "MP3"}, errors.UnsupportedAudioError),
        ("none/a.wav", np.zeros(9), {}, errors.AudioSaveError),
        ("a.wav", np.zeros((2, 9)), {}, ValueError),
        ("a.wav", np.zeros(9, np.int16), {}, ValueError),
    ],
)
def test_refused_saves_touch_nothing(tmp_path, name, wav, options, error):
    before = {"a.wav": b"old", "a.flac": b"old"}
    for file, content in before.items():
        (tmp_path / file).write_bytes(content)
    with pytest.raises(error):
        save_wav(tmp_path / name, wav, 16000, **options)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_failed_save_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, step, number):
    path = tmp_path / "a.wav"
    save_wav(path, tone(), 16000)
    old = path.read_bytes()

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"os.{step}", fail)
    with pytest.raises(errors.AudioSaveError, match=os.strerror(number)):
        save_wav(path, 0.5 * tone(), 16000)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["a.wav"]


def test_saving_onto_a_folder_is_named(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(errors.AudioSaveError, match="not written"):
        save_wav(tmp_path / "a.wav", tone(), 16000)
    assert os.listdir(tmp_path) == ["a.wav"]


METADATA = {
    "title": "Überschrift 标题",
    "software": "toolbox 1.0",
    "synthetic": "yes",
    "seed": "42",
    "text": "He said: “It’s 5 °C” — naïve façade, 漢字, emoji 🎙, tab\t, newline\n, nul\0, \\ and {braces}.",
    "long": "word " * 20000,
    "empty": "",
    "surrogate": "caf\udce9",
}


@pytest.mark.parametrize("suffix", SAVE_SUFFIXES)
def test_metadata_comes_back_unchanged(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save_wav(path, tone(), 16000, metadata=METADATA)
    assert read_metadata(path) == METADATA
    assert len(load_wav(path, 16000)) == 16000
    save_wav(path, tone(), 16000)
    assert "text" not in read_metadata(path)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), min_size=1, max_size=5))
def test_any_metadata_comes_back_from_wav(tmp_path_factory, metadata):
    path = tmp_path_factory.getbasetemp() / "metadata.wav"
    save_wav(path, np.zeros(10), 16000, metadata=metadata)
    assert read_metadata(path) == metadata


def test_other_programs_see_the_title_and_the_mark(tmp_path):
    for suffix in SAVE_SUFFIXES:
        path = tmp_path / f"a{suffix}"
        save_wav(path, tone(), 16000, metadata={"title": "Überschrift", "synthetic": "yes"})
        with soundfile.SoundFile(path) as file:
            assert file.title == "Überschrift" and '"synthetic": "yes"' in file.comment


def test_metadata_of_other_programs(tmp_path):
    path = tmp_path / "a.wav"
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        file.title, file.comment = "Titel", "no JSON"
        file.write(tone())
    assert read_metadata(path) | {"software": ""} == {"title": "Titel", "comment": "no JSON", "software": ""}
    encode_av(tmp_path / "a.m4a", tone(), 16000, "mono")
    assert read_metadata(tmp_path / "a.m4a")["major_brand"].strip() == "M4A"
    (tmp_path / "a.mp3").write_bytes(b"hello")
    with pytest.raises(errors.NotAudioError):
        read_metadata(tmp_path / "a.mp3")
    with pytest.raises(errors.AudioMissingError):
        read_metadata(tmp_path / "none.wav")


@given(st.binary(max_size=400))
def test_damaged_tags_never_raise_anything_else(tmp_path_factory, tail):
    path = tmp_path_factory.getbasetemp() / "tags.wav"
    path.write_bytes(riff(b"\0\0") + b"LIST" + tail)
    assert isinstance(read_metadata(path), dict)


def test_recordings_of_real_voices_load(shared_dir):
    clips = sorted((shared_dir / "samples").glob("*.mp3"))
    assert clips
    for clip in clips:
        wav = load_wav(clip, 16000)
        assert 1.0 < len(wav) / 16000 < 60 and 0.05 < np.abs(wav).max() <= 1.2
