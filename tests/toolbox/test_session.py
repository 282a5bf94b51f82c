"""A killed program loses nothing that was saved, and two programs do not touch each other's sessions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from audio.io import read_metadata
from toolbox import session as module
from toolbox.provenance import Provenance, parse_metadata
from toolbox.session import SavedSound, Session, SessionError, SessionStore, user_data_dir
from toolbox.voices import make_voice

REPOSITORY = Path(__file__).resolve().parents[2]


def sound(name, seconds=0.1, seed=0, **values):
    wav = np.random.default_rng(seed).uniform(-0.5, 0.5, int(16000 * seconds)).astype(np.float32)
    return SavedSound(name=name, wav=wav, **values)


def crash(store):
    """What the system does when the process dies: locks are gone, files stay."""
    if store._own is not None:
        store._own.unlock()


@pytest.fixture
def session():
    mark = Provenance("Hello.", 7, {"encoder": "e@1", "synthesizer": "s@2", "vocoder": "v@3"}, "abcd").metadata()
    return Session(
        text="Hello. Ünï\n",
        voices=(make_voice("Anna", np.eye(256)[3]),),
        clips=(SavedSound("file", "Anna", path="/data/a.wav"), sound("recorded", seed=1, speaker="me")),
        results=(sound("Hello.", seed=2, metadata=mark, extra={"similarity": 0.8}),),
        settings={"seed": 7},
    )


def test_everything_comes_back_after_a_crash(tmp_path, session):
    store = SessionStore(tmp_path / "sessions")
    assert store.save(session).message == ""
    crash(store)
    later = SessionStore(tmp_path / "sessions")
    found = later.recover()
    assert (found.text, found.voices, found.settings) == (session.text, session.voices, session.settings)
    assert found.clips == session.clips and found.results == session.results
    assert found.clips[0].wav is None
    assert found.clips[1].wav == pytest.approx(session.clips[1].wav, abs=1e-4)
    assert found.results[0].wav == pytest.approx(session.results[0].wav, abs=1e-4)
    assert found.saved and not found.lost
    kept = [read_metadata(path) for path in (tmp_path / "sessions").glob("*/*.wav")]
    assert [parse_metadata(tags).text for tags in kept if tags] == ["Hello."]


def test_a_recovered_session_is_offered_until_it_is_discarded(tmp_path, session):
    store = SessionStore(tmp_path)
    store.save(session)
    crash(store)
    first = SessionStore(tmp_path)
    assert first.recover() is not None
    assert SessionStore(tmp_path).recover() is None
    first.close()
    second = SessionStore(tmp_path)
    assert second.recover() is not None
    second.discard_recovered()
    second.close()
    assert SessionStore(tmp_path).recover() is None
    assert list(tmp_path.iterdir()) == []


def test_a_clean_exit_leaves_nothing(tmp_path, session):
    store = SessionStore(tmp_path / "sessions")
    store.save(session)
    store.close()
    assert list((tmp_path / "sessions").iterdir()) == []
    store.save(session)
    assert list((tmp_path / "sessions").iterdir()) == []


def test_nothing_is_written_for_an_empty_desk(tmp_path):
    store = SessionStore(tmp_path / "sessions")
    assert store.recover() is None
    store.save(Session(text="  \n"))
    store.discard_recovered()
    store.close()
    assert not (tmp_path / "sessions").exists()


def test_a_desk_that_was_cleared_is_not_offered(tmp_path, session):
    store = SessionStore(tmp_path)
    store.save(session)
    store.save(Session())
    crash(store)
    assert SessionStore(tmp_path).recover() is None
    assert list(tmp_path.iterdir()) == []


CHILD = """
import sys, time
from toolbox.session import Session, SessionStore
store = SessionStore(sys.argv[1])
store.save(Session(text="of the child"))
print("saved", flush=True)
time.sleep(60)
"""


def test_a_running_program_keeps_its_session_and_a_killed_one_gives_it_up(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "saved\n"
        store = SessionStore(tmp_path)
        assert store.recover() is None
        store.save(Session(text="mine"))
        assert len(list(tmp_path.iterdir())) == 2
        pids = {(path / "lock").read_text().strip() for path in tmp_path.iterdir()}
        assert pids == {str(os.getpid()), str(child.pid)}
        child.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        child.wait(30)
        assert store.recover().text == "of the child"
        store.discard_recovered()
        store.close()
    finally:
        child.kill()
        child.wait(30)
        child.stdout.close()


def test_sound_is_written_once_and_removed_when_it_leaves_the_desk(tmp_path, monkeypatch, session):
    import audio.io

    written = []
    real = audio.io.save_wav
    monkeypatch.setattr(audio.io, "save_wav", lambda path, *a, **k: (written.append(path), real(path, *a, **k)))
    store = SessionStore(tmp_path)
    store.save(session)
    store.save(session)
    assert len(written) == 2
    store.save(Session(text="x", results=session.results))
    assert len(written) == 2
    assert len(list(tmp_path.glob("*/*.wav"))) == 1
    store.close()


def test_too_much_sound_drops_the_oldest_results_and_says_so_once(tmp_path):
    store = SessionStore(tmp_path, max_bytes=4 * 3200)
    clips = (sound("clip", seed=99),)
    results = tuple(sound(f"r{number}", seed=number) for number in range(3))
    assert store.save(Session(clips=clips, results=results)).dropped == ()
    results += (sound("r3", seed=3), sound("r4", seed=4))
    report = store.save(Session(clips=clips, results=results))
    assert report.dropped == ("r0", "r1")
    assert "r0, r1" in report.message and "Export" in report.message
    assert store.save(Session(clips=clips, results=results)).message == ""
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.wav")) < 4 * 3400
    crash(store)
    found = SessionStore(tmp_path).recover()
    assert [result.name for result in found.results] == ["r2", "r3", "r4"]
    assert [clip.name for clip in found.clips] == ["clip"]


def test_the_latest_is_kept_however_long_it_is(tmp_path):
    store = SessionStore(tmp_path, max_bytes=100)
    store.save(Session(clips=(sound("a", seed=1), sound("b", seed=2)), results=(sound("r"),)))
    crash(store)
    found = SessionStore(tmp_path).recover()
    assert ([clip.name for clip in found.clips], len(found.results)) == (["b"], 1)


@pytest.mark.parametrize("state", [b"", b"{", b"[]", b'{"format": 9}', b"[" * 100_000, b'{"format": 1, "voices": 5}'])
def test_a_damaged_session_is_passed_over_and_its_sounds_stay(tmp_path, session, state, caplog):
    for text in ("old", "damaged"):
        store = SessionStore(tmp_path)
        store.save(Session(text=text, results=session.results))
        damaged = store._own.path
        crash(store)
        time.sleep(0.02)
    (damaged / "session.json").write_bytes(state)
    later = SessionStore(tmp_path)
    assert later.recover().text == "old"
    assert "cannot be recovered" in caplog.text
    assert len(list(damaged.glob("*.wav"))) == 1
    later.close()


def test_what_cannot_be_read_again_is_named(tmp_path, session):
    store = SessionStore(tmp_path)
    store.save(session)
    folder = store._own.path
    crash(store)
    state = json.loads((folder / "session.json").read_text())
    (folder / state["results"][0]["file"]).write_bytes(b"RIFF")
    state["voices"][0]["embed"] = []
    state["clips"][1]["file"] = "../../../etc/passwd"
    (folder / "session.json").write_text(json.dumps(state))
    found = SessionStore(tmp_path).recover()
    assert found.text == session.text
    assert [clip.name for clip in found.clips] == ["file"]
    assert len(found.lost) == 3


def test_old_crashed_sessions_do_not_pile_up(tmp_path):
    for number in range(6):
        store = SessionStore(tmp_path)
        store.save(Session(text=f"text {number}"))
        os.utime(store._own.path / "session.json", (number, number))
        crash(store)
    later = SessionStore(tmp_path)
    assert later.recover().text == "text 5"
    assert len(list(tmp_path.iterdir())) == module.KEPT_SESSIONS
    later.discard_recovered()
    assert later.recover().text == "text 4"
    later.close()


def test_a_full_disk_leaves_what_was_kept(tmp_path, session, monkeypatch):
    store = SessionStore(tmp_path)
    store.save(session)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        for change in (Session(text="new"), Session(text="new", results=(sound("more", seed=9),))):
            with pytest.raises(SessionError, match="No space left"):
                store.save(change)
    crash(store)
    found = SessionStore(tmp_path).recover()
    assert found.text == session.text and len(found.results) == 1 and not found.lost


def test_a_folder_that_cannot_be_made(tmp_path, session):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SessionError, match="not kept"):
        SessionStore(tmp_path / "file").save(session)
    assert SessionStore(tmp_path / "file").recover() is None


def test_the_users_data_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("VOICE_TOOLBOX_DATA", str(tmp_path))
    assert user_data_dir() == tmp_path
    monkeypatch.delenv("VOICE_TOOLBOX_DATA")
    assert user_data_dir().name == "voice-cloning-toolbox"
