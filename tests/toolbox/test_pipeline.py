"""The pipeline with stand-in models: references, seeds, pauses, progress, marks."""

import numpy as np
import pytest

from audio.errors import AudioError, Cancelled, ModelError, TextError
from audio.io import load_wav, read_metadata
from toolbox import pipeline, voice_space
from toolbox.pipeline import VoiceCloner
from toolbox.provenance import parse_metadata, voice_id
from vocoder.names import is_griffin_lim


def test_the_same_seed_gives_the_same_samples(cloner, clip):
    first = cloner.clone("Hello there.", clip, seed=7)
    again = cloner.clone("Hello there.", clip, seed=7)
    other = cloner.clone("Hello there.", clip, seed=8)
    assert np.array_equal(first.wav, again.wav)
    assert not np.array_equal(first.wav, other.wav)


def test_a_drawn_seed_is_named_and_repeats(cloner, clip):
    speech = cloner.clone("Hello there.", clip)
    assert np.array_equal(speech.wav, cloner.clone("Hello there.", clip, seed=speech.seed).wav)
    assert speech.seed != cloner.clone("Hello there.", clip).seed


def test_result_shapes(cloner, clip):
    speech = cloner.clone("One two. Three.", clip, seed=1)
    assert speech.wav.dtype == np.float32 and speech.wav.ndim == 1
    assert speech.mel.shape == (80, 4 * 7 + 4 * 5)
    assert speech.embed.shape == (256,)
    assert np.abs(speech.wav).max() == pytest.approx(0.97, abs=1e-3)
    assert [segment.text for segment in speech.segments] == ["One two", "Three"]
    assert speech.alignment.shape == (14 + 10, 7 + 5)
    assert speech.alignment[14:, :7].sum() == 0 and speech.alignment[:14, 7:].sum() == 0
    assert speech.alignment.sum() == 7 + 5


def test_segments_are_set_apart_by_silence(cloner, clip):
    speech = cloner.clone("One two. Three.", clip, seed=1)
    assert cloner.vocoder.runs == 2
    first, pause = 28 * 200, 4000
    assert len(speech.wav) == first + pause + 20 * 200
    assert not speech.wav[first : first + pause].any()
    assert abs(speech.wav[first - 1]) < 0.01 and abs(speech.wav[first + pause]) < 0.01
    assert speech.wav[first - 400 : first - 100].any()


def test_references_of_every_kind(cloner, clip, speechlike):
    wav = load_wav(clip, 16000)
    from_path = cloner.embed_reference(clip)
    assert np.allclose(from_path, cloner.embed_reference(str(clip)))
    assert np.allclose(from_path, cloner.embed_reference(wav))
    assert np.allclose(from_path, cloner.embed_reference([clip]))
    assert np.array_equal(from_path, cloner.embed_reference(from_path))
    centroid = cloner.embed_reference([wav, 0.3 * speechlike(1.0, seed=9), from_path])
    assert np.linalg.norm(centroid) == pytest.approx(1.0, abs=1e-5)
    assert not np.allclose(centroid, from_path)


def test_no_reference_and_no_text_are_named_errors(cloner, clip, tmp_path):
    with pytest.raises(AudioError, match="at least one recording"):
        cloner.embed_reference([])
    with pytest.raises(AudioError):
        cloner.clone("Hello.", tmp_path / "absent.wav")
    with pytest.raises(TextError, match="no text"):
        cloner.clone("  \n", clip)


def test_progress_grows_to_the_end(cloner, clip):
    calls = []
    cloner.clone("One. Two. Three.", clip, seed=1, progress=lambda done, total: calls.append((done, total)))
    done = [value for value, _ in calls]
    assert done == sorted(done) and calls[-1] == (100, 100) and {total for _, total in calls} == {100}


def test_streamed_and_whole_are_the_same_samples(cloner, clip):
    text = "One two. Three. Four and five. Six."
    whole = cloner.clone(text, clip, seed=7)
    stream = cloner.stream(text, clip, seed=7)
    pieces = list(stream)
    assert len(pieces) == 3 and {piece.sample_rate for piece in pieces} == {whole.sample_rate}
    assert np.array_equal(np.concatenate([piece.wav for piece in pieces]), whole.wav)
    assert np.array_equal(stream.result.wav, whole.wav) and np.array_equal(stream.result.mel, whole.mel)
    assert stream.result.provenance == whole.provenance


def test_the_first_sentence_sounds_before_the_second_is_synthesized(cloner, clip, monkeypatch):
    said, real = [], cloner.synthesizer.stream

    def noting(*args, **kwargs):
        for spoken in real(*args, **kwargs):
            said.append(spoken.segment.text)
            yield spoken

    monkeypatch.setattr(cloner.synthesizer, "stream", noting)
    stream = cloner.stream("One two. Three. Four.", clip, seed=1)
    assert len(next(stream).wav) == 28 * 200 + 4000
    assert said == ["One two"] and cloner.vocoder.runs == 1
    assert not hasattr(stream, "result")
    assert stream.finish().text == "One two. Three. Four." and said == ["One two", "Three", "Four"]


def test_an_error_after_the_first_piece_passes_and_ends_the_stream(cloner, clip, monkeypatch):
    real = cloner.synthesizer.stream

    def breaking(*args, **kwargs):
        yield next(real(*args, **kwargs))
        raise ModelError("The synthesizer is damaged.")

    monkeypatch.setattr(cloner.synthesizer, "stream", breaking)
    stream = cloner.stream("One two. Three.", clip, seed=1)
    next(stream)
    with pytest.raises(ModelError, match="damaged"):
        next(stream)
    assert list(stream) == [] and not hasattr(stream, "result")


@pytest.mark.parametrize("kind", ["encoder", "synthesizer", "vocoder"])
def test_cancelling_works_in_every_stage(cloner, clip, monkeypatch, kind):
    name = {"encoder": "embed_utterance", "synthesizer": "stream", "vocoder": "vocode"}[kind]
    real, reached = getattr(getattr(cloner, kind), name), []
    monkeypatch.setattr(getattr(cloner, kind), name, lambda *a, **k: reached.append(1) or real(*a, **k))

    def stop(done, total):
        if reached:
            raise Cancelled

    with pytest.raises(Cancelled):
        cloner.clone("One. Two.", clip, progress=stop)


def test_random_voices_look_like_embeddings(cloner):
    voice = cloner.random_voice(3)
    assert voice.shape == (256,) and voice.dtype == np.float32
    assert np.linalg.norm(voice) == pytest.approx(1.0, abs=1e-5) and voice.min() >= 0
    assert np.array_equal(voice, cloner.random_voice(3)) and not np.array_equal(voice, cloner.random_voice(4))
    assert cloner.clone("Hello.", voice, seed=1).seconds > 0


def test_random_voices_of_a_known_encoder_lie_where_people_do(cloner, monkeypatch):
    space = voice_space.VoiceSpace(cloner.model_info()[0].sha256, np.eye(256)[0], np.eye(256)[1:3], np.full(2, 0.1))
    monkeypatch.setattr(pipeline, "voice_space", lambda: space)
    voice = cloner.random_voice(3)
    assert voice[0] > 0.8 and not voice[3:].any() and np.linalg.norm(voice) == pytest.approx(1.0)
    assert np.array_equal(voice, cloner.random_voice(3)) and not np.array_equal(voice, cloner.random_voice(4))


def test_similarity_is_a_cosine(cloner, clip):
    speech = cloner.clone("Hello.", clip, seed=1)
    assert -1 <= cloner.similarity(speech) <= 1
    wav = load_wav(clip, 16000)
    assert cloner.similarity(wav, speech.embed) == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(ValueError, match="embedding"):
        cloner.similarity(wav)


def test_slow_speech_takes_longer_and_says_so_in_its_mark(cloner, clip, tmp_path):
    usual = cloner.clone("Hello there.", clip, seed=1)
    slow = cloner.clone("Hello there.", clip, seed=1, speed=0.5)
    assert slow.mel.shape[1] == 2 * usual.mel.shape[1] and slow.seconds > 1.9 * usual.seconds
    mark = parse_metadata(read_metadata(slow.save(tmp_path / "slow.wav")))
    assert mark == slow.provenance and mark.speed == 0.5 and usual.provenance.speed == 1.0


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_saved_files_say_that_they_are_synthetic(cloner, clip, tmp_path, suffix):
    text = "Grüße, “world”. " + "A long text goes in whole. " * 300
    speech = cloner.clone(text, clip, seed=11)
    path = speech.save(tmp_path / f"out{suffix}")
    tags = read_metadata(path)
    assert tags["synthetic"] == "yes"
    mark = parse_metadata(tags)
    assert mark == speech.provenance
    assert (mark.seed, mark.text, mark.voice) == (11, text, voice_id(clip))
    assert mark.models == {
        "encoder": "fake-encoder",
        "synthesizer": "fake-synthesizer",
        "vocoder": "fake-vocoder",
    }


def test_warnings_name_the_segment(cloner, clip):
    speech = cloner.clone("Fine. Really fine.", clip, seed=1)
    assert speech.warnings == []
    speech = cloner.clone("Fine. Say it again again.", clip, seed=1)
    assert speech.warnings == ["“Say it again again”: words were repeated"]


def test_models_are_described_without_loading_them(tmp_path):
    class Registry:
        def find(self, name, kind):
            from types import SimpleNamespace

            if kind == "encoder" and name == "absent":
                raise ModelError("There is no encoder 'absent'.")
            path = tmp_path / f"{kind}.bin"
            path.write_bytes(kind.encode())
            return SimpleNamespace(name=name, path=path)

        def load(self, *args):
            raise AssertionError("loaded")

    infos = VoiceCloner(registry=Registry(), vocoder="griffin_lim").model_info()
    assert [str(info).split("@")[0] for info in infos] == ["default", "default", "griffin-lim"]
    assert len(infos[0].sha256) == 16 and infos[2].sha256 == ""
    with pytest.raises(ModelError, match="absent"):
        VoiceCloner(registry=Registry(), encoder="absent").model_info()


def test_names_of_griffin_lim():
    assert is_griffin_lim("Griffin-Lim") and is_griffin_lim("griffin_lim") and not is_griffin_lim("default")
