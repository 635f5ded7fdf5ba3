"""Run one benchmark by name, or list them: `python -m benchmarks [NAME] [--option ...]`."""

import sys
from importlib import import_module

from defemb_core.process_setup import set_up_process

NAMES = {
    "quality": "held-out tokens, choices behind the defaults, word similarity, isotropy (about ten minutes)",
    "training": "method trained: share of the product rate, memory, held-out tokens, word similarity (20 minutes)",
    "speed": "loading, instant reconstruction, prompts a second against sentence-transformers, one click",
    "dictionaries": "Wiktionary: speed and memory of reading a dump, opening a store; json.loads, polars (two minutes)",
    "projection": "nearest neighbours and UMAP maps against umap-learn's defaults",
    "glue": "RTE, MRPC and STS-B with original and rebuilt tables: DATA RUN... (hours; goes on where it ended)",
    "export": "speed and memory of exporting a large table, against a copy of the file",
    "dynamics": "a fine-tuning recorded: its cost and size, and who moved (--data FOLDER of GLUE; half an hour)",
    "app": "server start to first page against `streamlit hello`, and from page to page (needs Chromium)",
    "clicks": "how long the server works on a click or a setting, page by page",
    "sessions": "ten browser sessions at once: errors, the server's memory (needs Chromium)",
    "maps": "linked maps of 30,522 and 250,000 rows against Plotly: opening, hover, lasso (needs Chromium)",
}


def main() -> int:
    """Dispatch to a benchmark's own command line; 2 for an unknown name."""
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help"}:
        print(__doc__)
        for name, does in NAMES.items():
            print(f"  {name:<12} {does}")
        return 0
    name = sys.argv[1]
    if name not in NAMES:
        print(f"unknown benchmark {name!r}; choose one of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    set_up_process()  # as `python -m defemb_core` does
    import_module(f"benchmarks.{name}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
