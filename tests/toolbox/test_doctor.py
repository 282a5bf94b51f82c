"""The doctor's judgement; the machine's own state decides no test."""

import json

import pytest

from audio.errors import Cancelled, ModelError
from toolbox import doctor
from toolbox.doctor import FAULT, NOTE, OK, Finding

STORED = {"seconds": 3.0, "level_db": -20.0, "similarity": 0.7, "models": {"encoder": "a"}}


def test_exit_code_follows_faults(monkeypatch):
    def broken():
        raise RuntimeError("unforeseen")
        yield

    lines = []
    for name in ("python", "packages", "libraries", "display", "audio", "gpu", "models"):
        monkeypatch.setattr(doctor, f"check_{name}", lambda: iter([Finding(NOTE, "absent")]))
    assert doctor.run_doctor(with_clone=False, write=lines.append) == 0
    assert lines[-1] == "All is well." and lines[0] == "note  absent"
    monkeypatch.setattr(doctor, "check_gpu", broken)
    assert doctor.run_doctor(with_clone=False, write=lines.append) == 1
    assert lines[-1] == "1 thing to mend." and any("unforeseen" in line for line in lines)


def test_giving_up_the_trial_run_ends_the_checks(monkeypatch):
    def stop(progress):
        progress(1, 2)

    def cancel(done, total):
        raise Cancelled

    for name in ("python", "packages", "libraries", "display", "audio", "gpu", "models"):
        monkeypatch.setattr(doctor, f"check_{name}", lambda: iter([]))
    monkeypatch.setattr(doctor, "trial", stop)
    with pytest.raises(Cancelled):
        doctor.run_doctor(write=lambda line: None, progress=cancel)


def test_packages_against_pins(tmp_path):
    import numpy

    pins = tmp_path / "requirements.txt"
    pins.write_text(f"# a remark\nnumpy=={numpy.__version__}\n")
    assert [finding.status for finding in doctor.check_packages(pins)] == [OK]
    pins.write_text("numpy==0.1\nno-such-package-here==1.0\n")
    other, absent = doctor.check_packages(pins)
    assert other.status == NOTE and "pip install numpy==0.1" in other.message
    assert absent.status == FAULT and "pip install no-such-package-here==1.0" in absent.message


def test_pins_of_the_program_are_exact():
    lines = (doctor.ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert len(doctor.read_pins(doctor.ROOT / "requirements.txt")) == len(wanted) > 10


def test_display(monkeypatch):
    monkeypatch.setattr(doctor.platform, "system", lambda: "Linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":7")
    assert list(doctor.check_display()) == [Finding(OK, "Display :7")]
    monkeypatch.delenv("DISPLAY")
    assert [finding.status for finding in doctor.check_display()] == [NOTE]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, OK),
        ({"seconds": 3.2}, OK),
        ({"seconds": 4.0}, FAULT),
        ({"level_db": -40.0}, FAULT),
        ({"similarity": float("nan")}, FAULT),
        ({"seconds": 4.0, "models": {"encoder": "b"}}, OK),
    ],
)
def test_trial_run_against_the_stored_result(change, status):
    assert doctor.compare({**STORED, **change}, STORED, "figures").status == status


def test_trial_run_with_stand_in_models(cloner, monkeypatch, tmp_path):
    figures = doctor.trial(cloner)
    assert figures == doctor.trial(cloner)
    assert figures["seconds"] > 1 and figures["models"]["vocoder"] == "fake-vocoder"
    monkeypatch.setattr(doctor, "trial", lambda **_: figures)
    path = tmp_path / "doctor.json"
    assert doctor.record(path) == 0
    assert json.loads(path.read_text())["seconds"] == figures["seconds"]
    monkeypatch.setattr(doctor, "RECORD", path)
    (finding,) = doctor.check_clone()
    assert finding.status == OK and "like the stored one" in finding.message


def test_a_trial_run_that_fails_is_a_fault(monkeypatch):
    def fail(**_):
        raise ModelError("There is no vocoder 'default'.")

    monkeypatch.setattr(doctor, "trial", fail)
    (finding,) = doctor.check_clone()
    assert finding.status == FAULT and "no vocoder" in finding.message


def test_silence_is_no_speech(monkeypatch):
    monkeypatch.setattr(doctor, "trial", lambda **_: {**STORED, "level_db": -90.0})
    (finding,) = doctor.check_clone()
    assert finding.status == FAULT and "no plausible speech" in finding.message
