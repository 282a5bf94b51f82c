"""What a training writes down."""

import csv

import torch

from training.logbook import Averages, CsvLog, portable_command


def test_csv_log_is_cut_back_to_the_step_that_is_resumed(tmp_path):
    path = tmp_path / "log.csv"
    log = CsvLog(path, 0)
    for step in (1, 2, 3):
        log.add(step, "train", {"loss": 0.1 * step})
    with open(path, "a") as file:
        file.write("4,tra")
    again = CsvLog(path, 2)
    again.add(3, "train", {"loss": 7.0})
    with open(path, newline="") as file:
        assert [(row["step"], float(row["loss"])) for row in csv.DictReader(file)] == [
            ("1", 0.1),
            ("2", 0.2),
            ("3", 7.0),
        ]


def test_csv_log_gets_a_column_when_a_metric_appears(tmp_path):
    log = CsvLog(tmp_path / "log.csv", 0)
    log.add(1, "train", {"loss": 1.0})
    log.add(2, "validation", {"loss": 2.0, "eer": 0.25})
    with open(tmp_path / "log.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["eer"] for row in read] == ["", "0.25"]
    assert log.series("validation", "eer") == ([2], [0.25])


def test_averages_count_each_name_by_itself():
    means = Averages()
    means.add({"a": torch.tensor(1.0), "b": 4.0})
    means.add({"a": 2.0})
    means.skip()
    assert means.means() == {"a": 1.5, "b": 4.0, "skipped_steps": 1.0}


def test_command_keeps_no_machine_paths():
    argv = ["/usr/bin/python3", "-m", "encoder.train", "run", "/data/speech", "--models_dir=/home/me/models", "a b"]
    assert portable_command(argv) == 'python3 -m encoder.train run speech --models_dir=models "a b"'
