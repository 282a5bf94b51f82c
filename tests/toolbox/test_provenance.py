"""The mark of generated files."""

from dataclasses import replace

import numpy as np
import pytest

from toolbox.provenance import Provenance, parse_metadata, voice_id

MARK = Provenance("Hello.", 3, {"encoder": "a@1", "synthesizer": "b@2", "vocoder": "c"}, "0123")


def test_the_mark_survives_its_tags():
    assert parse_metadata(MARK.metadata()) == MARK
    again = replace(MARK, retakes=((1, 77), (4, 0)))
    assert again.metadata()["retakes"] == "2:77 5:0"
    assert parse_metadata(again.metadata()) == again
    slow = replace(MARK, speed=0.85)
    assert slow.metadata()["speed"] == "0.85" and parse_metadata(slow.metadata()) == slow
    assert parse_metadata({**MARK.metadata(), "trim_silences": "yes"}) != MARK


@pytest.mark.parametrize("change", [{"synthetic": "no"}, {"seed": "many"}, {"retakes": "2 7"}, {"speed": "fast"}])
def test_other_tags_are_no_mark(change):
    assert parse_metadata({**MARK.metadata(), **change}) is None


@pytest.mark.parametrize("missing", ["synthetic", "seed", "text", "voice", "program", "vocoder"])
def test_half_a_mark_is_no_mark(missing):
    tags = MARK.metadata()
    del tags[missing]
    assert parse_metadata(tags) is None


def test_voice_ids_tell_voices_apart(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    assert voice_id(one) == voice_id([str(one)]) != voice_id(two)
    assert voice_id([one, two]) == voice_id([two, one]) != voice_id(one)
    assert voice_id(np.zeros(4)) != voice_id(np.ones(4))
    with pytest.raises(TypeError):
        voice_id(3)
    with pytest.raises(OSError):
        voice_id(tmp_path / "absent")
