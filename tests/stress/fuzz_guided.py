"""A fuzz target of tests/fuzz, guided by coverage: atheris changes what hypothesis draws from.

    pip install atheris
    python tests/stress/fuzz_guided.py selectors --seconds 300
    python tests/stress/fuzz_guided.py records --seconds 300 --corpus FOLDER

For the targets whose code is ours: atheris sees Python's branches and not those of Pillow's
decoders, at which `fuzz.py` throws more in the same time. Ends with libFuzzer's report and exit
code 0, or at the first failing input, with its traceback and another code. A corpus folder is read
and added to.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "fuzz"), str(HERE.parent / "support")]

with atheris.instrument_imports(include=["adbench"]):
    from targets import TARGETS

GUIDED = ("selectors", "hyper-parameters", "records", "baselines", "stored files")


def main() -> None:
    """Fuzz one target until the time is over; libFuzzer ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=GUIDED)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    target = next(t for t in TARGETS if t.name == options.target)
    with tempfile.TemporaryDirectory() as folder:
        corpus = options.corpus or Path(folder) / "corpus"
        corpus.mkdir(exist_ok=True)
        one_input = target.test(Path(folder) / "work", most=1, start=0).hypothesis.fuzz_one_input
        flags = [f"-max_total_time={options.seconds}", "-timeout=60", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], str(corpus), *flags], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
