"""Fine-tuning dynamics: a recorder of the embedding table for transformers' Trainer, and what its recordings say.

from defemb_core.dynamics import EmbeddingRecorder
trainer.add_callback(EmbeddingRecorder("recording"))
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from defemb_core.dynamics.recorder import EmbeddingRecorder as EmbeddingRecorder

__all__ = ["EmbeddingRecorder"]


def __getattr__(name: str) -> Any:
    """Import the recorder on its first use: it is a class of transformers', which takes seconds to import."""
    if name in __all__:
        from defemb_core.dynamics import recorder

        return getattr(recorder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
