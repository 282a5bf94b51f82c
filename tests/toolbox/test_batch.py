"""Batches: reading jobs, bad rows, resuming."""

import pytest

from audio.io import load_wav
from toolbox.batch import Job, JobsError, read_jobs, run_batch


def write_jobs(folder, body, header="reference,text,output"):
    path = folder / "jobs.csv"
    path.write_text(header + "\n" + body, encoding="utf-8")
    return path


def test_rows_become_jobs(tmp_path):
    path = write_jobs(tmp_path, 'a.wav,"Hello, you.",out/a\nb.wav; c.wav,Hi.,b.flac\n')
    one, two = read_jobs(path, seed=4)
    assert one == Job(2, (tmp_path / "a.wav",), "Hello, you.", tmp_path / "out/a.wav", 4)
    assert two.references == (tmp_path / "b.wav", tmp_path / "c.wav") and two.output.name == "b.flac"


def test_a_column_of_seeds_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "jobs.csv"
    path.write_bytes("\ufeffReference, Text ,OUTPUT,seed\na.wav,Hi.,a.wav,9\na.wav,Hi.,b.wav,\n".encode())
    one, two = read_jobs(path, seed=4)
    assert (one.seed, two.seed) == (9, 4)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Hi.,a.wav", "no reference"),
        ("a.wav,,a.wav", "no text"),
        ("a.wav,Hi.", "no output"),
        ("a.wav,Hello, you.,a.wav", "double quotes"),
        (";,Hi.,a.wav", "no reference"),
    ],
)
def test_rows_that_cannot_be_jobs_keep_their_line(tmp_path, row, reason):
    jobs = read_jobs(write_jobs(tmp_path, f"a.wav,Hi.,ok.wav\n{row}\n"))
    assert isinstance(jobs[0], Job)
    assert jobs[1][0] == 3 and reason in jobs[1][1]


def test_bad_seed_and_double_output(tmp_path):
    body = "a.wav,Hi.,a.wav,x\na.wav,Hi.,b.wav,\na.wav,Ho.,b,\n"
    jobs = read_jobs(write_jobs(tmp_path, body, "reference,text,output,seed"))
    assert "not a whole number" in jobs[0][1]
    assert jobs[2] == (4, f"{tmp_path / 'b.wav'} is the output of line 3 already")


@pytest.mark.parametrize("content", [b"", b"text,output\n", b"reference,text,output\n\xff\xfe,a,b\n"])
def test_files_that_are_no_jobs(tmp_path, content):
    path = tmp_path / "jobs.csv"
    path.write_bytes(content)
    with pytest.raises(JobsError, match=r"jobs\.csv"):
        read_jobs(path)
    with pytest.raises(JobsError, match=r"absent\.csv"):
        read_jobs(tmp_path / "absent.csv")


def test_a_bad_row_does_not_stop_the_rest_and_a_second_run_resumes(cloner, clip, tmp_path):
    path = write_jobs(tmp_path, "clip.wav,One.,deep/one.wav\nabsent.wav,Two.,two.wav\nclip.wav,Three.,three.ogg\n")
    reported = []
    summary = run_batch(read_jobs(path, 1), cloner, on_failure=lambda line, reason: reported.append(line))
    assert (summary.done, summary.skipped, reported) == (2, 0, [3])
    assert "absent.wav" in summary.failures[0][1]
    assert str(summary) == "2 written, 0 already there, 1 failed"
    assert len(load_wav(tmp_path / "deep/one.wav", 16000)) > 1000 and not (tmp_path / "two.wav").exists()

    runs, before = cloner.vocoder.runs, (tmp_path / "three.ogg").stat().st_mtime_ns
    again = run_batch(read_jobs(path, 1), cloner)
    assert (again.done, again.skipped, len(again.failures)) == (0, 2, 1)
    assert cloner.vocoder.runs == runs and (tmp_path / "three.ogg").stat().st_mtime_ns == before


def test_a_changed_row_is_done_again_and_foreign_files_are_left_alone(cloner, clip, tmp_path):
    run_batch(read_jobs(write_jobs(tmp_path, "clip.wav,One.,one.wav\n"), 1), cloner)
    changed = read_jobs(write_jobs(tmp_path, "clip.wav,Another text.,one.wav\n"), 1)
    assert run_batch(changed, cloner).done == 1
    assert run_batch(changed, cloner).skipped == 1
    assert run_batch(changed, cloner, trim_silences=True).done == 1
    assert run_batch(changed, cloner, trim_silences=True, speed=0.8).done == 1
    assert run_batch(changed, cloner, trim_silences=True, speed=0.8).skipped == 1

    original = clip.read_bytes()
    summary = run_batch(read_jobs(write_jobs(tmp_path, "clip.wav,One.,clip.wav\n"), 1), cloner)
    assert "not made by this program" in summary.failures[0][1]
    assert clip.read_bytes() == original
