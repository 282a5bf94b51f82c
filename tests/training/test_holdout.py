"""The speakers that no training sees."""

from training.corpus import Utterance
from training.holdout import held_out_speakers, is_held_out, trainable


def spoken(split, speakers):
    return [Utterance(None, name, f"{name}-{i}", split=split) for name in speakers for i in range(2)]


def test_a_share_of_many_speakers_is_kept_and_does_not_move():
    everyone = spoken("big", [f"s{n}" for n in range(1000)])
    held_out = held_out_speakers(everyone)
    assert 120 < len(held_out) < 200 and held_out == {u.speaker for u in everyone if is_held_out(u.speaker)}
    assert held_out_speakers(everyone[: len(everyone) // 2]) <= held_out
    left = trainable(everyone)
    assert {u.speaker for u in left} == {u.speaker for u in everyone} - held_out
    assert trainable(everyone, all_speakers=True) == everyone


def test_few_speakers_are_all_trained_on():
    few = spoken("mine", [f"s{n}" for n in range(39)])
    assert any(is_held_out(u.speaker) for u in few) and trainable(few) == few


def test_the_validation_speakers_of_the_first_synthesizer_are_held_out():
    assert all(is_held_out(name) for name in ("762538", "761260", "762917", "762441", "761039", "769613"))
    assert is_held_out("762538-90") and not is_held_out("900001")
