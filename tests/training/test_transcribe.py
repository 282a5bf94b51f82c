import pytest

from audio.errors import TrainingError
from audio.io import save_wav
from training import transcribe
from training.corpus import find_utterances
from training.transcribe import Heard, Piece, pieces


def words(text, start, each=0.5):
    """The words of a text, one after the other."""
    return [Heard(word, start + n * each, start + (n + 1) * each) for n, word in enumerate(text.split())]


def silence(start, end):
    return Heard("", start, end)


def test_a_recording_is_cut_in_the_middle_of_its_pauses():
    heard = [silence(0, 0.4), *words("one two three four", 0.4), silence(2.4, 3.0), *words("five six seven", 3.0)]
    heard = [*heard, silence(4.5, 4.7), silence(4.7, 5.1), *words(" ".join(["word"] * 12), 5.1), silence(11.1, 11.5)]
    found = pieces(heard)
    assert [piece.text for piece in found] == ["one two three four five six seven", " ".join(["word"] * 12)]
    assert found[0].start == pytest.approx(0.2) and 4.5 < found[0].end <= 4.9
    assert 4.7 <= found[1].start <= 5.1 and found[1].end == pytest.approx(11.3)


def test_a_short_silence_does_not_end_a_phrase():
    heard = [*words("one two", 0.0), silence(1.0, 1.1), *words("three four", 1.1)]
    assert pieces(heard) == [Piece("one two three four", 0.0, 2.1)]


def test_what_is_too_short_or_has_no_pause_is_left_out():
    long = words(" ".join(["word"] * 20), 1.6)
    assert pieces([*words("two words", 0.0), silence(1.0, 1.6), *long]) == []
    assert pieces([silence(0.0, 3.0)]) == [] and pieces([]) == []


def test_a_corpus_without_transcripts_gets_some(tmp_path, speechlike, monkeypatch):
    for speaker in ("7", "9"):
        (tmp_path / "in" / speaker).mkdir(parents=True)
        save_wav(tmp_path / "in" / speaker / f"{speaker}.wav", speechlike(4.0), 16000)
    heard = [*words("good morning to you", 0.0), silence(2.0, 2.4), *words("all", 2.4)]
    monkeypatch.setattr(transcribe, "listen", lambda wav: heard if len(wav) == 64000 else [])
    assert transcribe.transcribe_corpus(tmp_path / "in", tmp_path / "out", 1) == 2
    made = find_utterances(tmp_path / "out")
    assert [(u.speaker, u.text) for u in made] == [("7", "good morning to you all"), ("9", "good morning to you all")]
    assert transcribe.transcribe_corpus(tmp_path / "in", tmp_path / "out", 1) == 0, "what is there is kept"
    with pytest.raises(TrainingError, match="transcript already"):
        transcribe.transcribe_corpus(tmp_path / "out", tmp_path / "again", 1)


def test_pocketsphinx_hears_the_words_of_a_clear_voice():
    pytest.importorskip("pocketsphinx")
    from audio.io import load_wav
    from models.registry import CATALOG_PATH

    clip = CATALOG_PATH.parent.parent / "toolbox" / "assets" / "reference.flac"
    heard = transcribe.listen(load_wav(clip, 16000))
    assert {"small", "town", "summer", "boats"} & {item.word for item in heard}
    assert all(item.end > item.start for item in heard) and heard[-1].end <= 12.0


def test_without_the_recogniser_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(transcribe, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install pocketsphinx"):
        transcribe.transcribe_corpus(tmp_path, tmp_path / "out")
