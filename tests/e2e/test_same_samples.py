"""The same seed gives the same samples, whether a text is cloned in one call or by the window's jobs."""

import numpy as np
import pytest

TEXT = "One is here.\nTwo is there.\nThree comes in.\nAnd four goes out!\nWas five the last?"


class Quiet:
    """Stands in for a job that nobody watches."""

    def __init__(self):
        self.sent = []

    def progress(self, done, total):
        pass

    def check(self):
        pass

    def send(self, partial):
        self.sent.append(partial)


@pytest.mark.parametrize(("vocoder", "trim", "speed"), [("default", False, 1.0), ("griffin-lim", True, 0.8)])
def test_the_window_and_the_pipeline_agree(models_dir, clip, vocoder, trim, speed):
    from models.registry import ModelRegistry
    from toolbox.jobs import embed_clip, load_clips
    from toolbox.model_choice import Models, Selection
    from toolbox.pipeline import VoiceCloner
    from toolbox.records import VoiceChoice
    from toolbox.speech_jobs import clone, say_again, sound, sound_again, speak
    from toolbox.vocoding import Stream

    cloner = VoiceCloner(ModelRegistry((models_dir,)), vocoder=vocoder, device="cpu")
    speech = cloner.clone(TEXT, clip, seed=11, speed=speed, trim_silences=trim)

    models, selection, job = Models((models_dir,)), Selection(vocoder=vocoder, device="cpu"), Quiet()
    load_clips(job, [clip])
    loaded = job.sent.pop()
    voice = VoiceChoice("clip", "Anna", embed_clip(job, models, selection, loaded.wav, 16000).embed)
    takes = []
    stream = Stream(clone(
        job, models, selection, TEXT, voice, 11, speed=speed, trim_silences=trim, on_take=takes.append
    ))
    pieces = list(stream)
    voiced, take = stream.result, takes[0]
    assert len(take.segments) == 5 and len(pieces) == 3
    assert np.array_equal(voice.embed, speech.embed)
    assert np.array_equal(np.concatenate([piece.wav for piece in pieces]), voiced.wav)
    assert np.array_equal(voiced.wav, speech.wav)

    apart = speak(job, models, selection, TEXT, voice, 11, speed)
    assert np.array_equal(apart.mel, take.mel)
    assert np.array_equal(Stream(sound(job, models, selection, apart, trim_silences=trim)).finish().wav, voiced.wav)

    again = say_again(job, models, selection, take, 2, 99)
    heard = sound_again(job, models, selection, again, 2, voiced, trim)
    twice = say_again(job, models, selection, take, *again.retakes[0])
    assert np.array_equal(sound_again(job, models, selection, twice, 2, voiced, trim).wav, heard.wav)
    assert not np.array_equal(heard.wav, voiced.wav)
