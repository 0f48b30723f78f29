"""What the libraries say or leave behind that is no news to the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from ssl_av.quiet import timm_alone
timm_alone()
assert "timm" in sys.modules and "wandb" not in sys.modules
import wandb
from ssl_av.backbones import create_backbone
create_backbone("resnet9_audio", width=2)
import os
left = os.listdir(os.environ["TMPDIR"])
"""


def test_timm_leaves_no_folders_of_wandb(tmp_path: Path) -> None:
    code = CODE.replace("import wandb\n", "") + "assert not [name for name in left if 'wandb' in name], left"
    for body in (code, CODE):  # and W&B can be imported after it
        done = subprocess.run(
            [sys.executable, "-c", body],
            capture_output=True,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
