"""The training loop of all networks: steps, schedules, validation, checkpoints; knows no network, no data."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from audio.errors import TrainingError
from models.checkpoint import load_training_state, save_training_state
from training.cuda_graphs import GraphedLoss
from training.distributed import World, join
from training.ema import Ema
from training.logbook import Averages, Logbook, remove_run_files, write_run_record
from training.loop_tools import Prefetcher, StopSignals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

_STATE_FORMAT = 1


@dataclass(frozen=True)
class TrainerConfig:
    """How long and how a network is trained; the network's own settings live in its own config.

    Raises:
        TrainingError: a value that cannot be used.
    """

    steps: int = 100_000
    lr: tuple[tuple[int, float], ...] = ((0, 1e-3),)
    """(from_step, learning rate), first from step 0: each rate holds until the next one's step."""
    final_lr: float = 0.0
    """Above 0, the rate falls to this along half a cosine until the last step (Loshchilov and Hutter 2017, arXiv
    1608.03983, equation 5)."""
    warmup_steps: int = 0
    """Over this many first steps the rate grows linearly to its scheduled value."""
    clip_norm: float = 1.0
    """Largest L2 norm of all gradients together; 0 leaves them as they are."""
    amp: str = "off"
    """"bf16" runs forward and loss under autocast; weights and optimizer stay float32."""
    ema_decay: float = 0.0
    """Above 0, a running average of the weights is validated and exported instead of the last ones."""
    save_every: int = 500
    backup_every: int = 0
    """Every so many steps an exported model is kept for good; 0 keeps none."""
    validate_every: int = 500
    plot_every: int = 500
    log_every: int = 10
    seed: int = 0
    threads: int = 0
    """CPU threads of torch; 0 leaves torch's own choice."""
    weight_decay: float = 0.0
    """Decoupled (AdamW); 0 is plain Adam."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    adam_eps: float = 1e-8
    max_minutes: float = 0.0
    """Above 0, save and stop after so many minutes of this call."""
    max_bad_steps: int = 10
    """So many steps with a non-finite loss or gradient in a row end the training."""
    cuda_graphs: bool = False
    """On a CUDA device, record forward and backward once for each shape of a batch and replay them from then on."""

    def __post_init__(self) -> None:
        problems = []
        if self.steps < 1:
            problems.append("steps must be at least 1")
        starts = [start for start, _ in self.lr]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            problems.append("lr must be rising (from_step, rate) pairs that begin at step 0, like [[0, 0.001]]")
        if any(not (math.isfinite(rate) and rate > 0) for _, rate in self.lr):
            problems.append("every rate of lr must be above 0")
        if self.final_lr and not 0 < self.final_lr <= min((rate for _, rate in self.lr), default=0.0):
            problems.append("final_lr must be at least 0 and at most the lowest rate of lr")
        if self.amp not in ("off", "bf16"):
            problems.append('amp must be "off" or "bf16"')
        if not 0 <= self.ema_decay < 1:
            problems.append("ema_decay must be in [0, 1)")
        if self.log_every < 1 or self.max_bad_steps < 1:
            problems.append("log_every and max_bad_steps must be at least 1")
        if problems:
            raise TrainingError("Training settings that cannot be used: " + "; ".join(problems) + ".")

    def lr_at(self, step: int) -> float:
        """Learning rate of step ``step`` (counted from 0)."""
        rate = [rate for start, rate in self.lr if start <= step][-1]
        if self.final_lr:
            share = min(1.0, step / max(1, self.steps - 1))
            rate = self.final_lr + (rate - self.final_lr) * (1.0 + math.cos(math.pi * share)) / 2.0
        return rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


class Batch(Protocol):
    """What a task trains on: anything that can be moved to a device."""

    def to(self, device: torch.device) -> Any:
        """The same batch on ``device``."""


class Adversary(Protocol):
    """What learns to tell the network's results from real ones, with an optimizer of its own."""

    module: nn.Module
    """Trained and resumed, not exported."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor | float]] | None:
        """Scalar loss and detached metrics on what the task's ``loss`` just made of the batch; None = rest a step."""


class TrainTask(Protocol):
    """One kind of training: its network, data and loss. ``step`` counts finished steps, so the first one is
    0.

    Randomness: the trainer seeds torch's global generators from (seed, step, rank) before each ``loss``, so
    dropout needs no care; ``train_batch`` runs in another thread, up to one step early, and must draw from
    generators of its own (see step_seed) and not depend on prepare_step.
    """

    kind: str
    """"encoder", "synthesizer" or "vocoder"."""
    loss_module: nn.Module | None
    """Parameters that only the loss has; trained and resumed, not exported."""
    adversary: Adversary | None
    """The other side of an adversarial training."""

    @property
    def network(self) -> nn.Module:
        """What is trained, averaged and exported."""

    def prepare_step(self, step: int) -> None:
        """Set what the schedules of this step ask for (the reduction factor); also called on resume."""

    def phase(self, step: int) -> Hashable:
        """What ``loss`` depends on besides network and batch, the values of schedules for example: with ``cuda_graphs``
        steps of one phase are computed by the same recording.
        """

    def train_batch(self, step: int, rank: int, world_size: int) -> Batch:
        """The batch of a step: a pure function of the task's seed and these three."""

    def validation_batches(self) -> Iterable[Batch]:
        """The same held-out batches at every call; may be empty."""

    def loss(self, network: nn.Module, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """Scalar loss and detached metrics of a batch, in training and validation alike.

        A metric named "loss" takes the loss's place in the log and in the choice of the best model, for
        losses with terms that fade out during the training.
        """

    def figures(self, step: int) -> dict[str, Figure]:
        """Pictures to look at, by name; called in eval mode without gradients."""

    def samples(self, step: int) -> dict[str, tuple[np.ndarray, int]]:
        """Sounds to listen to, by name: (wav (S,), sample rate)."""

    def export(self, path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Write the model for inference with the weights ``state`` to ``path`` (.safetensors)."""


@dataclass(frozen=True)
class TrainResult:
    """How fit ended: by "steps", "time" or "interrupt"; best_loss is infinite before a validation."""

    step: int
    best_loss: float
    stopped_by: str


def step_seed(seed: int, *place: int) -> int:
    """A 63-bit seed that depends on all arguments: independent streams for every (seed, step, rank)."""
    return int(np.random.SeedSequence((seed, *place)).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Trainer:
    """Trains ``task.network`` in ``run_dir``, going on from the state that is saved there.

    ``details`` (plain values: model and data settings, the name of the data root) go into train_config.json
    and into the card of each exported model.
    """

    def __init__(
        self,
        task: TrainTask,
        cfg: TrainerConfig,
        run_dir: Path | str,
        device: str | torch.device = "cpu",
        *,
        force_restart: bool = False,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.task = task
        self.cfg = cfg
        self.run_dir = Path(run_dir)
        self.device = torch.device(device)
        self.force_restart = force_restart
        self.details = dict(details or {})
        self.step = 0
        self.best_loss = math.inf
        self._bad_steps = 0
        self._validated_at = -1
        self._saved_at = -1
        self._world = World(0, 1, self.device)

    @property
    def state_path(self) -> Path:
        """The file that a killed training resumes from."""
        return self.run_dir / "last.pt"

    def fit(self) -> TrainResult:
        """Train until ``cfg.steps``, ``cfg.max_minutes``, Ctrl-C or SIGTERM; the state is saved in each case.

        Raises:
            TrainingError: the saved state is of another network, or the loss stays non-finite.
        """
        if self.cfg.threads:
            torch.set_num_threads(self.cfg.threads)
        if self.device.type == "cuda":
            # TF32 on GPUs that have it: the range of float32, nearly the speed of bf16.
            torch.set_float32_matmul_precision("high")
        with join(self.device) as world, StopSignals() as stop:
            self._world, self.device = world, world.device
            self._set_up()
            if self.step >= self.cfg.steps:
                logger.info("Already trained for %d of %d steps; raise --steps to go on.", self.step, self.cfg.steps)
                return TrainResult(self.step, self.best_loss, "steps")
            load = lambda step: self.task.train_batch(step, world.rank, world.size)  # noqa: E731
            with Logbook(self.run_dir, self.step, self.cfg.steps, active=world.is_main) as log:
                with Prefetcher(load, self.step, self.cfg.steps) as batches:
                    stopped_by = self._loop(batches, stop, log)
                if world.is_main:
                    self._finish(stopped_by, stop, log)
            world.wait()
        return TrainResult(self.step, self.best_loss, stopped_by)

    def _set_up(self) -> None:
        task, cfg = self.task, self.cfg
        modules = [task.network.to(self.device)]
        if task.loss_module is not None:
            modules.append(task.loss_module.to(self.device))
        # A module that both share must be updated once.
        unique = {id(p): p for module in modules for p in module.parameters() if p.requires_grad}
        self._parameters = list(unique.values())
        self._optimizer = self._make_optimizer(self._parameters)
        adversary = task.adversary.module.to(self.device) if task.adversary is not None else None
        self._adversary_parameters = list(adversary.parameters()) if adversary is not None else []
        self._adversary_optimizer = self._make_optimizer(self._adversary_parameters) if adversary is not None else None
        modules += [adversary] if adversary is not None else []
        self._buffers = [b for module in modules for b in module.buffers()]
        self._ema = Ema(task.network, cfg.ema_decay) if cfg.ema_decay else None
        self._graphed = self._make_graphed()
        changed: dict[str, Any] = {}
        if self.force_restart:
            if self._world.is_main:
                remove_run_files(self.run_dir)
        elif self.state_path.is_file():
            changed = self._resume()
        self._world.wait()
        self._world.broadcast([*self._parameters, *self._adversary_parameters, *self._buffers])
        if self._world.is_main:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            write_run_record(self.run_dir, self._record(), self.step, changed)

    def _make_graphed(self) -> GraphedLoss | None:
        if not self.cfg.cuda_graphs or self.device.type != "cuda":
            return None
        if self._adversary_parameters:
            # The adversary judges what the network made, which a recording does not hand out.
            raise TrainingError("cuda_graphs cannot be used in an adversarial training: --set cuda_graphs=false.")
        return GraphedLoss(self._parameters, self._buffers)

    def _make_optimizer(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        cfg = self.cfg
        return torch.optim.AdamW(
            parameters,
            lr=cfg.lr_at(0),
            betas=cfg.adam_betas,
            eps=cfg.adam_eps,
            weight_decay=cfg.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )

    def _record(self) -> dict[str, Any]:
        network_cfg: Any = getattr(self.task.network, "cfg", None)
        return {
            "kind": self.task.kind,
            "parameters": sum(p.numel() for p in self.task.network.parameters()),
            "trainer": self.cfg.to_dict(),
            "model": network_cfg.to_dict() if hasattr(network_cfg, "to_dict") else None,
            "seed": self.cfg.seed,
            "processes": self._world.size,
            "device": self.device.type,
            **self.details,
        }

    def _state(self) -> dict[str, Any]:
        loss_module, adversary = self.task.loss_module, self.task.adversary
        return {
            "format": _STATE_FORMAT,
            "kind": self.task.kind,
            "step": self.step,
            "best_loss": self.best_loss,
            "bad_steps": self._bad_steps,
            "network": self.task.network.state_dict(),
            "loss_module": loss_module.state_dict() if loss_module is not None else {},
            "optimizer": self._optimizer.state_dict()["state"],
            "adversary": adversary.module.state_dict() if adversary is not None else {},
            "adversary_optimizer": self._adversary_optimizer.state_dict()["state"] if self._adversary_optimizer else {},
            "ema": self._ema.state_dict() if self._ema else None,
            "config": self.cfg.to_dict(),
        }

    def _resume(self) -> dict[str, Any]:
        """Take over the saved state; returns the settings that differ from it as name -> [old, new]."""
        state = load_training_state(self.state_path)
        task = self.task
        if state.get("format") != _STATE_FORMAT or state.get("kind") != task.kind:
            raise TrainingError(
                f"{self.state_path} holds a training of kind {state.get('kind', 'unknown')}, not "
                f"{task.kind}: choose another run name, or start anew with --force_restart."
            )
        _load_matching(task.network, state["network"], self.state_path)
        if task.loss_module is not None:
            _load_matching(task.loss_module, state["loss_module"], self.state_path)
        # Only the moments are taken over: rates, betas and weight decay follow the present config.
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state["optimizer"]})
        if task.adversary is not None and self._adversary_optimizer is not None and state.get("adversary"):
            _load_matching(task.adversary.module, state["adversary"], self.state_path)
            moments = {**self._adversary_optimizer.state_dict(), "state": state["adversary_optimizer"]}
            self._adversary_optimizer.load_state_dict(moments)
        if self._ema is not None:
            if state["ema"] is not None:
                self._ema.load_state_dict(state["ema"])
            else:
                self._ema = Ema(task.network, self.cfg.ema_decay)
        self.step, self.best_loss = int(state["step"]), float(state["best_loss"])
        self._bad_steps = int(state["bad_steps"])
        self._saved_at = self.step
        new, old = self.cfg.to_dict(), state["config"]
        changed = {name: [old.get(name), new[name]] for name in new if old.get(name) != new[name]}
        if self._world.is_main:
            logger.info("Going on from step %d of %s.", self.step, self.state_path)
            for name, (before, now) in changed.items():
                logger.info("Changed since then: %s was %s, is %s.", name, before, now)
        return changed

    def _loop(self, batches: Prefetcher, stop: StopSignals, log: Logbook) -> str:
        cfg = self.cfg
        started = time.monotonic()
        window = Averages()
        while self.step < cfg.steps:
            out_of_time = cfg.max_minutes > 0 and time.monotonic() - started >= cfg.max_minutes * 60
            interrupted, late = self._one_step(batches, window, stop.requested, out_of_time)
            log.step()
            if self.step % cfg.log_every == 0 or self.step == cfg.steps:
                log.train(self.step, {**window.means(), "lr": cfg.lr_at(self.step - 1)})
                window = Averages()
            if self._world.is_main:
                with log.pause():
                    self._side_work(stop, log)
            if interrupted or (self._world.size == 1 and stop.requested):
                return "interrupt"
            if late:
                return "time"
        return "steps"

    def _one_step(self, batches: Prefetcher, window: Averages, *flags: bool) -> list[bool]:
        """Train one step and add its values to ``window``; returns which flags were set in any process."""
        task, cfg, step = self.task, self.cfg, self.step
        task.prepare_step(step)
        self._train_mode(True)
        batch = batches.get(step).to(self.device)
        kept = [buffer.clone() for buffer in self._buffers]
        for optimizer in filter(None, (self._optimizer, self._adversary_optimizer)):
            for group in optimizer.param_groups:
                group["lr"] = cfg.lr_at(step)
        self._optimizer.zero_grad(set_to_none=True)
        # Seeding each step, not storing generator states, makes a step independent of what validation drew
        # before it.
        torch.manual_seed(step_seed(cfg.seed, step, self._world.rank))
        if task.adversary is not None:
            # Its gradients would be thrown away: the network learns from what it says, it does not learn here.
            task.adversary.module.requires_grad_(False)
        loss, metrics = self._gradients(batch, step)
        loss_value = float(loss.detach())
        bad = 0.0 if math.isfinite(loss_value) else 1.0
        extras = self._world.average_gradients(self._parameters, [0.0 if bad else loss_value, bad, *flags])
        norm = float(nn.utils.clip_grad_norm_(self._parameters, cfg.clip_norm or math.inf))
        self.step += 1
        if extras[1] or not math.isfinite(norm):
            with torch.no_grad():
                for buffer, value in zip(self._buffers, kept, strict=True):
                    buffer.copy_(value)
            self._skip_bad_step(loss_value, norm)
            window.skip()
        else:
            self._bad_steps = 0
            # Before the network is updated: the adversary judges what was made with these weights.
            metrics = {**metrics, **self._adversary_step(batch, step)}
            self._optimizer.step()
            if self._ema is not None:
                self._ema.update()
            window.add({"loss": extras[0], **metrics, "grad_norm": norm})
        return [value > 0 for value in extras[2:]]

    def _gradients(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor | float]]:
        """The task's loss and metrics; the gradients are in the parameters."""

        def forward(batch: Any) -> tuple[Tensor, dict[str, Tensor | float]]:
            with self._autocast():
                return self.task.loss(self.task.network, batch, step)

        if self._graphed is not None:
            return self._graphed(forward, batch, self.task.phase(step))
        loss, metrics = forward(batch)
        loss.backward()
        return loss, metrics

    def _adversary_step(self, batch: Any, step: int) -> dict[str, Tensor | float]:
        """Train the adversary, if there is one, unless its loss or gradient is not finite; returns its metrics."""
        optimizer, adversary = self._adversary_optimizer, self.task.adversary
        if optimizer is None or adversary is None:
            return {}
        adversary.module.requires_grad_(True)
        optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            result = adversary.loss(batch, step)
        if result is None:
            return {}
        loss, metrics = result
        loss.backward()
        self._world.average_gradients(self._adversary_parameters, [])
        norm = float(nn.utils.clip_grad_norm_(self._adversary_parameters, self.cfg.clip_norm or math.inf))
        if math.isfinite(norm):
            optimizer.step()
        else:
            logger.warning("Step %d: the adversary was left as it is: loss %g, gradient norm %g.", step, loss, norm)
        return {"adversary": loss.detach(), **metrics}

    def _skip_bad_step(self, loss: float, norm: float) -> None:
        self._bad_steps += 1
        logger.warning("Step %d left out: loss %g, gradient norm %g.", self.step, loss, norm)
        if self._bad_steps >= self.cfg.max_bad_steps:
            raise TrainingError(
                f"The loss or its gradient was not finite for {self._bad_steps} steps in a row, up to step "
                f"{self.step}. {self.state_path} holds the last good state: lower the learning rate "
                '(--set "lr=[[0, 0.0001]]"), or train without --amp, and start the same command again.'
            )

    def _side_work(self, stop: StopSignals, log: Logbook) -> None:
        cfg, step = self.cfg, self.step
        if _due(step, cfg.validate_every):
            self._validate(stop, log)
        if _due(step, cfg.backup_every):
            self._export(f"backup_{step:06d}.safetensors", {})
        # After validation, so that the saved state knows its result; before figures, which may fail.
        if _due(step, cfg.save_every):
            self._save()
        if _due(step, cfg.plot_every):
            self._draw(log)

    def _finish(self, stopped_by: str, stop: StopSignals, log: Logbook) -> None:
        if stopped_by != "interrupt" and self._validated_at != self.step:
            self._validate(stop, log)
        if self._saved_at != self.step or self._validated_at == self.step:
            self._save()
        logger.info("Stopped by %s at step %d; %s is saved.", stopped_by, self.step, self.state_path)

    def _save(self) -> None:
        save_training_state(self.state_path, self._state())
        self._saved_at = self.step

    def _validate(self, stop: StopSignals, log: Logbook) -> None:
        """Mean metrics of the validation batches; the lowest loss so far is exported as the best model."""
        means = Averages()
        with self._evaluation():
            for index, batch in enumerate(self.task.validation_batches()):
                if stop.requested:
                    logger.info("Validation at step %d was interrupted.", self.step)
                    return
                # The same draws at every validation, so that its noise does not choose the best model.
                torch.manual_seed(step_seed(self.cfg.seed, index))
                with self._autocast():
                    loss, metrics = self.task.loss(self.task.network, batch.to(self.device), self.step)
                means.add({"loss": float(loss.detach()), **metrics})
        self._validated_at = self.step
        values = means.means()
        if not values:
            logger.info("No validation data: the model of step %d is exported unmeasured.", self.step)
            self._export("best.safetensors", {})
            return
        log.validation(self.step, values)
        if values["loss"] < self.best_loss:
            self.best_loss = values["loss"]
            self._export("best.safetensors", values)

    def _export(self, name: str, metrics: Mapping[str, float]) -> None:
        card = {**self._record(), "step": self.step, "validation": dict(metrics)}
        with self._evaluation():
            state = {key: value.detach().to("cpu", copy=True) for key, value in self.task.network.state_dict().items()}
        self.task.export(self.run_dir / name, state, card)

    def _draw(self, log: Logbook) -> None:
        with self._evaluation():
            try:
                torch.manual_seed(step_seed(self.cfg.seed, 0))
                figures, samples = self.task.figures(self.step), self.task.samples(self.step)
                log.pictures(self.step, figures, samples)
            except Exception:  # a picture that fails must not end hours of training
                logger.exception("The figures of step %d could not be made.", self.step)

    @contextlib.contextmanager
    def _evaluation(self):
        """Averaged weights, eval mode, no gradients."""
        self._train_mode(False)
        with torch.no_grad(), self._ema.applied() if self._ema is not None else contextlib.nullcontext():
            yield

    def _train_mode(self, on: bool) -> None:
        adversary = self.task.adversary.module if self.task.adversary is not None else None
        for module in filter(None, (self.task.network, self.task.loss_module, adversary)):
            module.train(on)

    def _autocast(self) -> torch.autocast:
        # Casts of weights may not be kept from one replay of a recording to the next.
        return torch.autocast(
            self.device.type,
            dtype=torch.bfloat16,
            enabled=self.cfg.amp == "bf16",
            cache_enabled=not self.cfg.cuda_graphs,
        )


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _load_matching(module: nn.Module, saved: Mapping[str, Tensor], path: Path) -> None:
    """Load a state dict whose names and shapes must be the module's own."""
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in saved]
    problems += [f"{name} is not part of the network" for name in saved if name not in own]
    problems += [
        f"{name} is {tuple(saved[name].shape)}, now {tuple(value.shape)}"
        for name, value in own.items()
        if name in saved and saved[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise TrainingError(
            f"{path} was saved by another architecture ({'; '.join(problems[:3])}{more}): use the "
            "settings that it was started with, choose another run name, or start anew with --force_restart."
        )
    module.load_state_dict(saved)
