"""Make nist.json: data and certified values of the NIST StRD linear regression sets.

Source: National Institute of Standards and Technology, Statistical Reference Datasets, linear regression, public
domain; the
.dat files as shipped in Debian's package gretl-data (/usr/share/gretl/data/nist). Run with that folder as the argument.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

# name -> (response column, formula of the model, whether it has a constant)
MODELS = {
    "Norris": "y ~ x",
    "Pontius": "y ~ x + I(x**2)",
    "NoInt1": "y ~ 0 + x",
    "NoInt2": "y ~ 0 + x",
    "Filip": "y ~ x + " + " + ".join(f"I(x**{k})" for k in range(2, 11)),
    "Longley": "y ~ x1 + x2 + x3 + x4 + x5 + x6",
    **{f"Wampler{i}": "y ~ x + " + " + ".join(f"I(x**{k})" for k in range(2, 6)) for i in range(1, 6)},
}
NUMBER = r"-?\d*\.?\d+(?:[Ee][-+]?\d+)?"


def read(path: Path) -> dict:
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    certified = re.findall(rf"^\s+B\d+\s+({NUMBER})\s+({NUMBER})", text, flags=re.M)
    deviation = re.search(rf"Residual\s*\n?\s*Standard Deviation\s+({NUMBER})", text)
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    rows = [[float(v) for v in line.split()] for line in lines[first - 1 : last] if line.strip()]
    return {
        "formula": MODELS[path.stem],
        "estimates": [float(a) for a, _ in certified],
        "standard_errors": [float(b) for _, b in certified],
        "residual_sd": float(deviation.group(1)),
        "rows": rows,
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    out = {name: read(folder / f"{name}.dat") for name in MODELS}
    Path(__file__).with_name("nist.json").write_text(json.dumps(out) + "\n")
    for name, one in out.items():
        print(name, len(one["rows"]), len(one["estimates"]))
