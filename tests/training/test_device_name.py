from __future__ import annotations

import os
import subprocess
import sys


def test_a_processor_is_named_with_the_instruction_set_that_decides_its_last_bits():
    ask = "import torch; from bench.training.device import device_name; print(device_name(torch.device('cpu')))"
    named = subprocess.run(
        [sys.executable, "-c", ask],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert named.stdout.rstrip().endswith(" (DEFAULT)")
