"""Manifests that survive kills."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.errors import TrainingError
from training.manifest import MANIFEST_NAME, DropReport, ManifestEntry, ManifestWriter, read_manifest

ENTRIES = [
    ManifestEntry(f"id{n}", f"s{n % 3}", "Grüß dich\nx" if n % 2 else None, 100 * n, n, "F", "dev") for n in range(6)
]


def test_entries_come_back_sorted_whatever_order_they_were_written_in(tmp_path):
    with ManifestWriter(tmp_path) as writer:
        for entry in reversed(ENTRIES):
            writer.write(entry)
    assert read_manifest(tmp_path) == ENTRIES


def test_a_second_run_goes_on_after_the_first(tmp_path):
    with ManifestWriter(tmp_path) as writer:
        writer.write(ENTRIES[0])
    with ManifestWriter(tmp_path) as writer:
        assert "id0" in writer and "id1" not in writer
        writer.write(ENTRIES[1])
    assert read_manifest(tmp_path) == ENTRIES[:2]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 2000))
def test_a_manifest_cut_at_any_byte_keeps_its_whole_entries(tmp_path_factory, cut):
    out = tmp_path_factory.mktemp("cut")
    with ManifestWriter(out) as writer:
        for entry in ENTRIES:
            writer.write(entry)
    data = (out / MANIFEST_NAME).read_bytes()
    cut = min(cut, len(data))
    (out / MANIFEST_NAME).write_bytes(data[:cut])
    with ManifestWriter(out) as writer:
        assert len(writer.done) >= data[:cut].count(b"\n")
        for entry in ENTRIES:
            if entry.id not in writer:
                writer.write(entry)
    assert read_manifest(out) == ENTRIES
    assert (out / MANIFEST_NAME).read_bytes().count(b"\n") == len(ENTRIES)


def test_damaged_lines_are_left_out_and_unknown_fields_ignored(tmp_path, caplog):
    lines = [
        '{"id": "a", "speaker": "s", "mood": 3}',
        "[1, 2]",
        '{"id": "b"}',
        '{"id": "c", "speaker": "s"}',
        '{"id": ',
    ]
    (tmp_path / MANIFEST_NAME).write_text("\n".join(lines))
    assert [entry.id for entry in read_manifest(tmp_path)] == ["a", "c"]
    assert "3 damaged lines" in caplog.text


def test_missing_and_empty_manifests_say_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="run the preprocessing"):
        read_manifest(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text("")
    with pytest.raises(TrainingError, match="lists no utterances"):
        read_manifest(tmp_path)


def test_drop_report_counts_reasons_and_is_written(tmp_path):
    report = DropReport()
    assert report.summary() == "Nothing was dropped."
    for name in ("a", "b"):
        report.add(name, "too short", "0.3 s")
    report.add("c", "not audio")
    assert report.counts == {"too short": 2, "not audio": 1}
    assert report.summary(10).splitlines()[0] == "3 of 10 dropped:"
    assert report.summary(10).splitlines()[1].split() == ["2", "too", "short"]
    records = [json.loads(line) for line in report.write(tmp_path).read_text().splitlines()]
    assert records[0] == {"id": "a", "reason": "too short", "detail": "0.3 s"}
