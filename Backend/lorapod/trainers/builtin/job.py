"""One training job, from a checked config to the trained LoRA."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from lorapod.trainers.builtin.base_model import BaseModel, attach_lora, load_base_model
from lorapod.trainers.builtin.cache import encode_images, encode_prompts
from lorapod.trainers.builtin.checkpoints import load_lora, load_state, save_checkpoint
from lorapod.trainers.builtin.config import BuiltinConfig
from lorapod.trainers.builtin.console import say
from lorapod.trainers.builtin.dataset import Batches, TrainingImage, held_back_images
from lorapod.trainers.builtin.interrupt import Interrupt
from lorapod.trainers.builtin.job_row import JobRow
from lorapod.trainers.builtin.loop import Loop, make_optimizer
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.trainers.builtin.objective import Objective
from lorapod.trainers.builtin.run_folder import RunCheckpoint, RunFolder
from lorapod.trainers.builtin.sampling import Sampler
from lorapod.trainers.builtin.validation import Validation
from lorapod.trainers.builtin.values import Precision

_MIXED_PRECISION = {Precision.FP32: "no", Precision.FP16: "fp16", Precision.BF16: "bf16"}


class TrainingJob:
    """Model, LoRA, data and optimizer of one run."""

    def __init__(
        self,
        config: BuiltinConfig,
        *,
        folder: RunFolder,
        images: Sequence[TrainingImage],
        resumed: RunCheckpoint | None,
        row: JobRow,
        interrupt: Interrupt,
    ) -> None:
        """Load the model and put the LoRA on it, with the weights of the checkpoint to resume from.

        Raises:
            InvalidInput: the model cannot be loaded, or the checkpoint holds another LoRA.
        """
        process, self._config = config.process, config
        self._folder, self._images, self._row, self._interrupt = folder, images, row, interrupt
        self._done = resumed.step if resumed else 0
        on_gpu = torch.cuda.is_available()
        precision = process.train.dtype if on_gpu else Precision.FP32
        if precision is not process.train.dtype:
            say("No GPU was found: training on the CPU in float32.")
        self._accelerator = Accelerator(cpu=not on_gpu, mixed_precision=_MIXED_PRECISION[precision])
        row.info("Loading model")
        self._model = load_base_model(process.model, device=self._accelerator.device, precision=precision)
        torch.manual_seed(process.train.seed)
        self._weights = attach_lora(self._model.unet, process.network)
        say(
            f"create LoRA network. base dim (rank): {process.network.linear}, alpha: {process.network.linear_alpha:g}"
        )
        say(f"create LoRA for U-Net: {len(self._weights) // 2} modules.")
        self._optimizer: Any = self._accelerator.prepare(make_optimizer(process.train, self._weights))
        if resumed is not None:
            self._resume(resumed)
        elif (start := process.network.pretrained_lora_path) is not None:
            say(f"Using pretrained lora path from config: {start}")
            load_lora(self._model.unet, Path(start))
        self._sampler = Sampler(process.sample, process.trigger_word, folder.samples)
        self._samples = bool(self._sampler.prompts) and not process.train.disable_sampling
        self._batches = Batches(images, batch_size=process.train.batch_size, seed=process.train.seed)

    def run(self) -> None:
        """Encode the data, train, and write the final LoRA and the last sample images."""
        process, model, done = self._config.process, self._model, self._done
        objective, validation = self._encoded(model)
        if process.train.gradient_checkpointing:
            model.unet.enable_gradient_checkpointing()
        model.unet.train()
        self._interrupt.hold()
        self._row.check()
        if self._samples and not done and process.train.skip_first_sample:
            say("Skipping first sample due to config setting")
        elif self._samples and not done:
            say("Generating baseline samples before training")
            self._sample_at(0)
        self._train(objective, validation)
        say()
        self._row.info("Saving model")
        self._save(self._folder.final, process.train.steps)
        if self._samples and done < process.train.steps:
            self._sample_at(process.train.steps)

    def _train(self, objective: Objective, validation: Validation | None) -> None:
        process = self._config.process
        log = (
            LossLogWriter(self._folder.loss_log, resumed_step=self._done)
            if process.logging.use_ui_logger
            else None
        )
        loop = Loop(
            name=self._config.name,
            train=process.train,
            save=process.save,
            sample=process.sample,
            logging=process.logging,
            accelerator=self._accelerator,
            optimizer=self._optimizer,
            weights=self._weights,
            objective=objective,
            validation=validation,
            batches=self._batches,
            row=self._row,
            loss_log=log,
            interrupt=self._interrupt,
            save_at=self._save_at,
            sample_at=self._sample_at,
            done=self._done,
        )
        if log is None:
            loop.run()
        else:
            with closing(log):
                loop.run()

    def _encoded(self, model: BaseModel) -> tuple[Objective, Validation | None]:
        self._row.info("Loading dataset")
        for folder in dict.fromkeys(dataset.folder_path for dataset in self._config.process.datasets):
            say(f"Caching latents for {folder}")
        process = self._config.process
        wanted = process.train.validation_config
        held_back = held_back_images(wanted, process.trigger_word) if wanted is not None else []
        latents = encode_images(model, self._images)
        held_latents = encode_images(model, held_back)
        texts = ["", *(image.caption for image in (*self._images, *held_back))]
        self._prompts = encode_prompts(model, [*texts, *(self._sampler.texts if self._samples else ())])
        model.free_encoders(keep_vae=self._samples)
        seed = process.train.seed
        objective = Objective(model, images=self._images, latents=latents, prompts=self._prompts, seed=seed)
        if wanted is None:
            return objective, None
        unseen = Objective(model, images=held_back, latents=held_latents, prompts=self._prompts, seed=seed)
        return objective, Validation(
            objective=unseen,
            count=len(held_back),
            every=wanted.validate_every_n_steps,
            autocast=self._accelerator.autocast,
        )

    def _resume(self, checkpoint: RunCheckpoint) -> None:
        say(f"#### IMPORTANT RESUMING FROM {checkpoint.path} ####")
        say(f"Found step {checkpoint.step} in metadata, starting from there")
        load_lora(self._model.unet, checkpoint.path)
        state = load_state(self._model.unet, self._folder, step=checkpoint.step)
        if state is None:
            say("The optimizer's state belongs to another step: the optimizer starts afresh.")
            return
        self._optimizer.load_state_dict(state["optimizer"])
        if self._accelerator.scaler is not None and state["scaler"] is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])

    def _save_at(self, step: int) -> None:
        self._save(self._folder.at_step(step), step)
        self._folder.prune(self._config.process.save.max_step_saves_to_keep)

    def _save(self, path: Any, step: int) -> None:
        scaler = self._accelerator.scaler
        batches_done = step * self._config.process.train.gradient_accumulation
        save_checkpoint(
            path,
            self._folder,
            unet=self._model.unet,
            config=self._config,
            step=step,
            epoch=batches_done // self._batches.per_epoch,
            state={
                "optimizer": self._optimizer.state_dict(),
                "scaler": scaler.state_dict() if scaler is not None else None,
            },
        )
        say(f"Saved checkpoint to {path}")
        say(f"Saved optimizer to {self._folder.optimizer}")

    def _sample_at(self, step: int) -> None:
        if not self._samples:
            return
        with self._accelerator.autocast():
            self._sampler.run(
                self._model,
                self._prompts,
                step=step,
                report=lambda made, total: self._row.info(f"Generating images - {made}/{total}"),
                check=self._check,
            )

    def _check(self) -> None:
        self._interrupt.check()
        self._row.check()
