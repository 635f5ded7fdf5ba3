"""Real trainings of tiny PLMs with a recorder, in a fraction of a second, and what a test wants to know of them."""

from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

from defemb_core.dynamics import EmbeddingRecorder

PADDING, WORDS, BATCH, STEPS = 0, (21, 22, 23, 24), 4, 8
# Every batch has all of these ids; the last two of an example are padding.
EXAMPLES = [
    {
        "input_ids": torch.tensor([30 + i % 2, WORDS[i % 4], 40, PADDING, PADDING]),
        "attention_mask": torch.tensor([1, 1, 1, 0, 0]),
        "labels": torch.tensor(i % 2),
    }
    for i in range(BATCH * STEPS)
]
RATE = 1e-2


@contextmanager
def one_thread():
    """Tables this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Watcher(TrainerCallback):
    """Keeps every step's table and what weight decay does at it; stops the training with an error where asked to."""

    def __init__(self, stop_at=0):
        self.tables, self.shrink, self.stop_at = {}, [], stop_at

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self.tables[state.global_step] = table_of(model)

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.shrink.append(optimizer.param_groups[0]["lr"] * args.weight_decay)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self.tables[state.global_step] = table_of(model)

    def on_step_begin(self, args, state, control, **kwargs):
        if self.stop_at and state.global_step == self.stop_at:
            raise KeyboardInterrupt


def table_of(model):
    return model.get_input_embeddings().weight.detach().clone()


def trainer_of(plm: Path, out: Path, callbacks, model=None, data=EXAMPLES, evaluated=None, **more):
    torch.manual_seed(0)
    settings = {"num_train_epochs": 1, "learning_rate": RATE, "per_device_train_batch_size": BATCH}
    settings |= {"save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True, "logging_steps": 100}
    return Trainer(
        model or BertForSequenceClassification.from_pretrained(plm), TrainingArguments(str(out), **(settings | more)),
        train_dataset=data, eval_dataset=evaluated, callbacks=callbacks,
        processing_class=AutoTokenizer.from_pretrained(plm),
    )  # fmt: skip


def record(plm: Path, folder: Path, every: int = 2, stop_at: int = 0, resume: str | None = None, **more):
    """Train with a recorder into folder/"recording", checkpoints into folder/"out"; return who watched."""
    watcher, recorder = Watcher(stop_at), EmbeddingRecorder(folder / "recording", every)
    trainer = trainer_of(plm, folder / "out", [watcher, recorder], **more)
    try:
        trainer.train(resume_from_checkpoint=resume)
    except KeyboardInterrupt:
        assert stop_at
        recorder._writer.settle()  # which a process that ends waits for
    return watcher
