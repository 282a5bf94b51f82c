"""Which intent of which view calls what of the controller; nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt5.QtCore import QObject

from toolbox.controller import Controller
from toolbox.recovery import Recovery
from toolbox.session import Session
from toolbox.state import ToolboxState
from toolbox.tasks import Job, Task
from toolbox.views import dialogs
from toolbox.views.main_window import MainWindow
from toolbox.views.voices_panel import VoiceDetails


class Wiring(QObject):
    """Joins a window and its controller; lives as long as the window."""

    def __init__(self, window: MainWindow, controller: Controller, recovery: Recovery) -> None:
        super().__init__(window)
        self._recovery = recovery
        self._window = window
        self._controller = controller
        self._state: ToolboxState = controller.state
        self._closing = False
        self._connect_voices()
        self._connect_speech()
        self._connect_results()
        self._connect_window()
        self._connect_shared()

    def _connect_voices(self) -> None:
        panel, control = self._window.voice_panel, self._controller
        panel.record_requested.connect(control.sound.start_recording)
        panel.record_stop_requested.connect(control.sound.stop_recording)
        panel.input_chosen.connect(control.sound.choose_input)
        panel.clip_selected.connect(control.select_clip)
        panel.speaker_selected.connect(control.voices.choose_speaker)
        panel.trim_requested.connect(control.trim_clip)
        panel.clip_renamed.connect(control.rename_clip)
        panel.speaker_renamed.connect(control.rename_speaker)
        panel.clips_removed.connect(self._state.remove_clips)
        corpus = panel.corpus
        corpus.dataset_chosen.connect(control.corpus.choose_dataset)
        corpus.speaker_chosen.connect(control.corpus.choose_speaker)
        corpus.utterance_chosen.connect(control.corpus.choose_utterance)
        corpus.utterance_load_requested.connect(control.corpus.load_utterance)
        corpus.random_requested.connect(control.corpus.choose_random)
        corpus.auto_next_toggled.connect(lambda on: self._set_option("auto_next", on))
        voices = panel.voices
        voices.voice_used.connect(control.voices.choose_saved)
        voices.voice_renamed.connect(control.voices.rename)
        voices.voice_deleted.connect(control.voices.delete)
        voices.blend_requested.connect(control.voices.choose_blend)
        for random_requested in (voices.random_requested, self._window.random_voice_requested):
            random_requested.connect(control.voices.choose_random)

    def _connect_speech(self) -> None:
        panel, control = self._window.text_panel, self._controller
        panel.clone_requested.connect(control.speech.clone)
        panel.synthesize_requested.connect(control.speech.synthesize)
        panel.vocode_requested.connect(control.speech.vocode)
        panel.text_edited.connect(self._state.set_text)
        panel.option_changed.connect(self._set_option)
        panel.model_chosen.connect(control.choose_model)
        panel.compute_device_chosen.connect(control.choose_device)
        panel.segment_retry_requested.connect(control.speech.say_again)

    def _connect_results(self) -> None:
        panel, control = self._window.result_panel, self._controller
        panel.result_selected.connect(self._state.set_current_result)
        panel.result_renamed.connect(lambda number, name: self._rename_result(number, name))
        panel.results_deleted.connect(self._state.remove_results)
        panel.segment_retry_requested.connect(lambda number, index: control.speech.say_again(index, number))
        panel.output_chosen.connect(control.sound.choose_output)
        comparison = self._window.comparison_panel
        comparison.point_selected.connect(control.play_point)
        comparison.refit_requested.connect(control.comparison.refit)

    def _connect_window(self) -> None:
        window, control = self._window, self._controller
        window.files_chosen.connect(control.load_files)
        window.corpus_chosen.connect(control.corpus.open)
        window.export_chosen.connect(lambda number, path: control.export(number, Path(path)))
        window.export_all_chosen.connect(lambda folder: control.export_all(control.unsaved, Path(folder)))
        window.voice_saved.connect(self._save_voice)
        window.voice_import_chosen.connect(lambda path: control.voices.import_file(Path(path)))
        window.voice_export_chosen.connect(lambda name, path: control.voices.export(name, Path(path)))
        window.record_toggled.connect(self._toggle_recording)
        window.refresh_models_requested.connect(control.refresh_models)
        window.fetch_requested.connect(self._offer_models)
        window.doctor_requested.connect(self._run_doctor)
        window.close_requested.connect(self._close)
        control.error_raised.connect(window.show_error)
        control.results_exported.connect(self._exported)
        self._recovery.found.connect(self._ask_recover)

    def _connect_shared(self) -> None:
        """What a panel offers and the menu too."""
        window, control = self._window, self._controller
        voices, texts, results = window.voice_panel, window.text_panel, window.result_panel
        for source in (voices, results, window):
            source.stop_requested.connect(control.sound.stop)
            source.refresh_devices_requested.connect(control.sound.refresh_devices)
        for source in (results, window):
            source.play_result_requested.connect(control.play_result)
            source.play_reference_requested.connect(control.play_reference)
        for requested in (voices.play_clip_requested, window.play_clip_requested):
            requested.connect(control.play_clip)
        for requested in (texts.cancel_requested, window.cancel_requested):
            requested.connect(control.cancel)

    # --- small steps

    def _set_option(self, name: str, value: Any) -> None:
        self._state.set_option(name, value)
        self._controller.settings.set(f"option/{name}", value)

    def _rename_result(self, number: int, name: str) -> None:
        if name.strip():
            self._state.update_result(number, name=name.strip())

    def _toggle_recording(self) -> None:
        sound = self._controller.sound
        if self._state.recording is None:
            sound.start_recording()
        else:
            sound.stop_recording()

    def _save_voice(self, voice: VoiceDetails) -> None:
        # The dialog has said that a voice of that name will be replaced.
        self._controller.voices.save(voice.name, voice.notes, voice.source, voice.agreed, overwrite=True)

    def _offer_models(self) -> None:
        """Look in a worker for what can be downloaded, then ask."""
        task = self._controller.submit("Looking for models", lambda job: self._controller.models.offered())
        task.succeeded.connect(self._ask_models)
        task.failed.connect(lambda error, details: self._window.show_error(str(error), details))

    def _ask_models(self, offered: tuple[tuple[str, str], ...]) -> None:
        from PyQt5.QtWidgets import QInputDialog

        if not offered:
            self._state.set_status("All known models are installed.")
            return
        lines = [f"{name} ({details})" for name, details in offered]
        line, chosen = QInputDialog.getItem(self._window, "Download models", "Models:", lines, 0, False)
        if chosen:
            self._controller.fetch_models(offered[lines.index(line)][0])

    def _run_doctor(self) -> None:
        """Show the findings as they come; closing the dialog stops the checks."""
        dialog = dialogs.DoctorDialog(self._window)

        def work(job: Job) -> int:
            from toolbox.doctor import run_doctor

            return run_doctor(write=job.send, progress=job.progress)

        # Its trial run takes the processor as any clone does: one after the other.
        task: Task = self._controller.model_job("Doctor", work)
        task.partial.connect(dialog.add_line)
        task.finished.connect(lambda: dialog.set_running(False))
        dialog.closed.connect(task.cancel)
        dialog.set_running(True)
        dialog.open()

    def _ask_recover(self, session: Session) -> None:
        parts = [f"{len(session.clips)} clips", f"{len(session.results)} results"]
        words = " ".join(session.text.split())[:60]
        summary = f"{', '.join(parts)}" + (f", the text “{words}”" if words else "")
        if dialogs.ask_recover(self._window, summary):
            self._recovery.restore(session)
        else:
            self._recovery.discard()

    # --- leaving

    def _close(self) -> None:
        unsaved = self._controller.unsaved
        answer = self._window.ask_unsaved([result.name for result in unsaved]) if unsaved else "discard"
        if answer == "discard":
            self._window.close_now()
        elif answer == "save":
            folder = self._window.ask_export_folder()
            if folder:
                self._closing = True
                self._controller.export_all(unsaved, Path(folder))

    def _exported(self, everything: bool) -> None:
        if self._closing:
            self._closing = False
            if everything:
                self._window.close_now()
