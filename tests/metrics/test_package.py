import subprocess
import sys

import adbench.metrics.exact


def test_all_names_what_is_public() -> None:
    public = {name for name, value in vars(adbench.metrics.exact).items() if callable(value)}
    assert sorted(public) == sorted(adbench.metrics.exact.__all__) == adbench.metrics.exact.__all__


def test_import_stays_light() -> None:
    heavy = {"torch", "pandas", "matplotlib", "sklearn"}
    code = f"import sys, adbench.metrics.exact; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
