"""Which models there are and how to get them ready: name -> network; knows no format details and no sound."""

import importlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio.errors import ModelError
from models.description import (
    DESCRIPTION_SUFFIX,
    KIND_NAMES,
    KINDS,
    RTVC_ARCHITECTURES,
    RTVC_SUFFIX,
    WEIGHTS_SUFFIX,
    description_path,
    read_description,
)
from models.environment import default_models_dir, user_models_dir
from models.fetch import fetch_file
from models.sums import Progress, read_sums, sha256_of

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

Architecture = tuple[str, str, str, str]
"""Module and class of the network, module and class of its config."""

ARCHITECTURES: Mapping[str, Architecture] = {
    "speaker_encoder": ("encoder.network", "SpeakerEncoder", "encoder.config", "EncoderConfig"),
    "tacotron": ("synthesizer.network", "Tacotron", "synthesizer.config", "TacotronConfig"),
    "wavernn": ("vocoder.wavernn", "WaveRNN", "vocoder.config", "WaveRNNConfig"),
    "wavenet": ("vocoder.wavenet", "WaveNet", "vocoder.config", "WaveNetConfig"),
    "vocos": ("vocoder.vocos", "Vocos", "vocoder.config", "VocosConfig"),
}
CATALOG_PATH = Path(__file__).resolve().parent / "catalog.json"
_BEST = "best"
_BUILD_ERRORS = (KeyError, ValueError, TypeError, IndexError, AttributeError, RuntimeError, ArithmeticError)


@dataclass(frozen=True)
class ModelEntry:
    """A model that is installed, or that the catalogue offers (then ``path`` is where it will be put)."""

    name: str
    kind: str
    architecture: str
    path: Path
    size: int
    sha256: str | None
    source: str
    installed: bool
    title: str = ""
    licence: str = ""

    @property
    def full_name(self) -> str:
        """Name of this model only; ``name`` is per kind: an encoder and a vocoder may both be "default"."""
        return f"{self.name}-{self.kind}"


@dataclass(frozen=True)
class Verdict:
    """What `ModelRegistry.verify` found: ``status`` is "ok", "missing" or "damaged"."""

    entry: ModelEntry
    status: str
    message: str


# The registry's own method ``list`` hides the built-in in the annotations of its class.
Entries = list[ModelEntry]
Verdicts = list[Verdict]


@dataclass(frozen=True)
class CatalogModel:
    """One downloadable model of catalog.json."""

    entry: ModelEntry
    aliases: tuple[str, ...]
    sources: tuple[Mapping[str, str], ...]


class ModelRegistry:
    """Finds, fetches, checks and builds models.

    Folders are searched in this order, and the first model of a name wins: ``roots`` (the user's -m folders),
    the program's ``models/``, the user's data folder ($VOICE_TOOLBOX_MODELS). A root holds one folder per set.
    A set holds ``<kind>.safetensors`` + ``<kind>.json`` (named like the folder), ``<kind>-<variant>.safetensors``
    + .json (named "<set>-<variant>"), or ``<kind>.pt`` of RTVC. Runs of the trainings are sets too: their
    ``best.safetensors`` is named like the folder, their backups like variants.
    """

    def __init__(
        self,
        roots: Sequence[Path | str] | Path | str | None = None,
        *,
        standard_roots: bool = True,
        architectures: Mapping[str, Architecture] = ARCHITECTURES,
        catalog: Path = CATALOG_PATH,
    ) -> None:
        self._shipped = default_models_dir()
        self._user = user_models_dir()
        given = [roots] if isinstance(roots, (str, Path)) else roots or ()
        chosen = [Path(root).expanduser() for root in given]
        self.roots = tuple(dict.fromkeys(chosen + ([self._shipped, self._user] if standard_roots else [])))
        if not standard_roots and chosen:
            self._shipped = self._user = chosen[0]
        self._architectures = architectures
        self._catalog_path = catalog

    def list(self, kind: str | None = None) -> Entries:
        """Models of ``kind`` (None: all), the installed ones first. Reads descriptions, no weights."""
        installed = self._installed(kind)
        taken = {(entry.kind, entry.name) for entry in installed}
        offered = [model.entry for model in self.catalog if kind in (None, model.entry.kind)]
        return installed + [entry for entry in offered if (entry.kind, entry.name) not in taken]

    def find(self, name_or_path: str | Path, kind: str | None = None) -> ModelEntry:
        """The installed model of that name ("default", "rtvc"), full name ("rtvc-vocoder"), file or folder.

        Raises ModelError that lists what there is, or says how to fetch it.
        """
        name = str(name_or_path)
        entries = self._installed(kind)
        for field in ("name", "full_name"):
            found = [entry for entry in entries if getattr(entry, field) == name]
            if len(found) > 1:
                choices = ", ".join(entry.full_name for entry in found)
                raise ModelError(f"{name!r} is the name of several models: say which of {choices}.")
            if found:
                return found[0]
        path = Path(name_or_path).expanduser()
        is_file_name = path.suffix in (WEIGHTS_SUFFIX, RTVC_SUFFIX, DESCRIPTION_SUFFIX)
        if path.exists() or is_file_name or len(path.parts) > 1:
            return self._describe_path(path, kind)
        raise ModelError(self._not_found(name, kind, entries))

    def load(self, name_or_path: str | Path, kind: str, device: "str | torch.device | None" = "cpu") -> Any:
        """Build the network of ``kind`` with its weights, in eval mode on ``device``; its config is ``.cfg``.

        ``device``: as for `models.device.choose_device`. Raises ModelError naming the file when it is missing, broken
        or of another kind, or the device when there is none such.
        """
        from models.checkpoint import load_state, read_checkpoint
        from models.device import choose_device

        place = choose_device(device) if device is None or isinstance(device, str) else device
        path = self.find(name_or_path, kind).path
        checkpoint = read_checkpoint(path, kind)
        network_class, config_class = self._resolve(checkpoint.architecture, checkpoint.path)
        try:
            if checkpoint.config is None:
                cfg = config_class.from_state_dict(checkpoint.state)
            else:
                cfg = config_class.from_dict(checkpoint.config)
            network = network_class(cfg)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        except _BUILD_ERRORS as error:
            raise ModelError(f"{path} does not have the sizes of a {checkpoint.architecture} "
                             f"({type(error).__name__}: {error}): expected {KIND_NAMES[kind]}.") from error
        load_state(network, checkpoint.state, checkpoint.path)
        network.cfg = cfg
        return network.to(place).eval()

    def fetch(self, name: str, progress: Progress | None = None) -> Entries:
        """Download the catalogue's models of a set ("rtvc"), a full name ("rtvc-vocoder") or alias ("encoder").

        ``progress(done, total)`` counts bytes of each file in turn. What is there already is only checked.
        Raises ModelError with instructions for doing it by hand.
        """
        models = [m for m in self.catalog if name in (m.entry.name, m.entry.full_name, *m.aliases)]
        if not models:
            names = ", ".join(model.entry.full_name for model in self.catalog)
            raise ModelError(f"There is no model {name!r} to fetch: choose from {names}.")
        fetched = []
        for model in models:
            entry = model.entry
            sha256 = str(entry.sha256)
            fetch_file(model.sources, entry.path, size=entry.size, sha256=sha256, progress=progress)
            fetched.append(replace(entry, installed=True))
        return fetched

    def verify(self, progress: Progress | None = None) -> Verdicts:
        """Check every installed model, and that the shipped ones are there.

        Files with a known SHA-256 (catalogue, SHA256SUMS.json of the set) are compared with it; the others are
        read in full. ``progress`` counts models.
        """
        jobs = [(entry, self._verify_entry) for entry in self._installed(None)]
        jobs += [(entry, self._report_missing) for entry in self._missing()]
        verdicts = []
        for done, (entry, check) in enumerate(jobs):
            if progress is not None:
                progress(done, len(jobs))
            verdicts.append(check(entry))
        if progress is not None:
            progress(len(jobs), len(jobs))
        return verdicts

    def sha256(self, entry: ModelEntry) -> str:
        """SHA-256 of the entry's weights as they are on disk now."""
        return sha256_of(entry.path)

    @cached_property
    def catalog(self) -> tuple[CatalogModel, ...]:
        """The downloadable models."""
        data = json.loads(self._catalog_path.read_text(encoding="utf-8"))
        return tuple(self._catalog_model(item) for item in data["models"])

    def _catalog_model(self, item: Mapping[str, Any]) -> CatalogModel:
        root = self._user
        # A program installed where the user may not write keeps its downloads in the user's folder.
        if item["place"] == "shipped" and os.access(self._shipped, os.W_OK):
            root = self._shipped
        sources = tuple(item["sources"])
        entry = ModelEntry(
            name=item["set"], kind=item["kind"], architecture=item["architecture"],
            path=root / item["set"] / item["file"], size=item["bytes"], sha256=item["sha256"],
            source=", ".join(source.get("url") or f"pip: {source['pip']}" for source in sources),
            installed=False, title=item["title"], licence=item["licence"],
        )
        return CatalogModel(entry, tuple(item["aliases"]), sources)

    def _installed(self, kind: str | None) -> Entries:
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {kind!r}")
        found: dict[tuple[str, str], ModelEntry] = {}
        for root in self.roots:
            for folder in _folders(root):
                for entry in self._entries_of(folder):
                    found.setdefault((entry.kind, entry.name), entry)
        entries = [entry for entry in found.values() if kind in (None, entry.kind)]
        return sorted(entries, key=lambda e: (KINDS.index(e.kind), e.name != "default", e.name))

    def _entries_of(self, folder: Path) -> Iterator[ModelEntry]:
        """Models of one set, those that win a name first."""
        try:
            files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
            sums = read_sums(folder)
        except (OSError, ModelError) as error:
            logger.warning("%s is left out: %s", folder, error)
            return
        weights = [path for path in files if path.suffix == WEIGHTS_SUFFIX]
        for path in sorted(weights, key=lambda path: (path.stem not in KINDS, path.stem != _BEST)):
            try:
                entry = self._describe_weights(path)
            except (OSError, ModelError) as error:
                logger.warning("%s is left out: %s", path, error)
                continue
            yield replace(entry, sha256=sums.get(path.name))
            if path.stem == _BEST:
                yield replace(entry, name=f"{folder.name}-{_BEST}", sha256=sums.get(path.name))
        for path in files:
            if path.suffix == RTVC_SUFFIX and path.stem in KINDS:
                yield self._describe_rtvc(path, path.stem, sums.get(path.name))

    def _describe_weights(self, path: Path) -> ModelEntry:
        description = read_description(description_path(path))
        kind, folder = description["kind"], path.resolve().parent.name
        variant = path.stem.removeprefix(f"{kind}-")
        card = description["card"]
        return ModelEntry(
            name=folder if path.stem in (kind, _BEST) else f"{folder}-{variant}", kind=kind,
            architecture=description["architecture"], path=path, size=path.stat().st_size, sha256=None,
            source="trained with this program", installed=True, title=description["name"],
            licence=str(card.get("licence", "")),
        )

    def _describe_rtvc(self, path: Path, kind: str, sha256: str | None = None) -> ModelEntry:
        entry = ModelEntry(
            name=path.resolve().parent.name, kind=kind, architecture=RTVC_ARCHITECTURES[kind], path=path,
            size=path.stat().st_size, sha256=sha256, source="a file of RTVC", installed=True,
        )
        for known in (model.entry for model in self.catalog):
            if known.path == path:
                return replace(entry, sha256=sha256 or known.sha256, source=known.source, title=known.title,
                               licence=known.licence)
        return entry

    def _describe_path(self, path: Path, kind: str | None) -> ModelEntry:
        if path.is_dir():
            entries = [entry for entry in self._entries_of(path) if kind in (None, entry.kind)]
            if len({entry.kind for entry in entries}) == 1:
                return entries[0]
            what = KIND_NAMES[kind] if kind else "one model"
            raise ModelError(f"The folder {path} does not hold {what}: name the file itself.")
        if path.suffix in (WEIGHTS_SUFFIX, DESCRIPTION_SUFFIX):
            weights = path.with_suffix(WEIGHTS_SUFFIX)
            if not weights.is_file():
                raise ModelError(f"{weights} does not exist.")
            return self._describe_weights(weights)
        if not path.is_file():
            what = KIND_NAMES[kind] if kind else "a model"
            raise ModelError(f"{path} does not exist: expected the file of {what}.")
        if kind is None:
            from models.checkpoint import read_checkpoint

            kind = read_checkpoint(path).kind
        return replace(self._describe_rtvc(path, kind), name=path.stem)

    def _resolve(self, architecture: str, path: Path) -> tuple[Callable[[Any], Any], Any]:
        if architecture not in self._architectures:
            known = ", ".join(self._architectures)
            raise ModelError(f"{path} needs the network {architecture!r}, which this version does not have "
                             f"(it has {known}): update the program.")
        network_module, network_class, config_module, config_class = self._architectures[architecture]
        return (getattr(importlib.import_module(network_module), network_class),
                getattr(importlib.import_module(config_module), config_class))

    def _not_found(self, name: str, kind: str | None, entries: Entries) -> str:
        for entry in (model.entry for model in self.catalog):
            if name in (entry.name, entry.full_name) and kind in (None, entry.kind):
                return (f"The {entry.kind} {name!r} is not on this machine yet: run 'python -m toolbox models "
                        f"fetch {entry.full_name}' ({entry.size / 1e6:,.0f} MB).")
        what = kind or "model"
        there = ", ".join(dict.fromkeys(entry.name for entry in entries)) or "none"
        folders = ", ".join(str(root) for root in self.roots)
        return f"There is no {what} {name!r}. Installed: {there}. Searched: {folders}."

    def _missing(self) -> Iterator[ModelEntry]:
        """What the shipped set lacks: downloads of the catalogue, and files of its list."""
        installed = {(entry.kind, entry.name) for entry in self._installed(None)}
        for entry in (model.entry for model in self.catalog):
            if entry.name == "default" and (entry.kind, entry.name) not in installed:
                yield entry
        folder = self._shipped / "default"
        for file_name, sha256 in read_sums(folder).items():
            path = folder / file_name
            if path.suffix == WEIGHTS_SUFFIX and not (path.is_file() and description_path(path).is_file()):
                kind = next((kind for kind in KINDS if path.stem.startswith(kind)), "vocoder")
                yield ModelEntry(name="default", kind=kind, architecture="", path=path, size=0, sha256=sha256,
                                 source="shipped", installed=False)

    def _report_missing(self, entry: ModelEntry) -> Verdict:
        if entry.source == "shipped":
            advice = f"restore it with 'git checkout -- {entry.path.name}' in {entry.path.parent}"
        else:
            advice = f"run 'python -m toolbox models fetch {entry.full_name}'"
        return Verdict(entry, "missing", f"{entry.path} is missing: {advice}.")

    def _verify_entry(self, entry: ModelEntry) -> Verdict:
        try:
            sums = read_sums(entry.path.parent)
            description = description_path(entry.path)
            files = [(entry.path, entry.sha256)]
            if entry.path.suffix == WEIGHTS_SUFFIX:
                files.append((description, sums.get(description.name)))
            for path, expected in files:
                if expected is not None and sha256_of(path) != expected:
                    advice = self._repair_advice(entry)
                    return Verdict(entry, "damaged", f"{path} has another SHA-256 than recorded: {advice}")
            if entry.sha256 is not None:
                return Verdict(entry, "ok", "SHA-256 as recorded")
            from models.checkpoint import read_checkpoint

            read_checkpoint(entry.path, entry.kind)
            for known in (model.entry for model in self.catalog):
                if known.size == entry.size and known.sha256 == sha256_of(entry.path):
                    return Verdict(entry, "ok", f"SHA-256 of: {known.title}")
        except ModelError as error:
            return Verdict(entry, "damaged", str(error))
        return Verdict(entry, "ok", "readable; no SHA-256 is recorded for it")

    def _repair_advice(self, entry: ModelEntry) -> str:
        if any(model.entry.path == entry.path for model in self.catalog):
            return f"run 'python -m toolbox models fetch {entry.full_name}'."
        return "copy it again from where it came from."


def _folders(root: Path) -> Iterator[Path]:
    try:
        with os.scandir(root) as children:
            names = sorted(child.name for child in children if child.is_dir() and child.name[0] not in "._")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        logger.warning("%s cannot be searched: %s", root, error)
        return
    for name in names:
        yield root / name
