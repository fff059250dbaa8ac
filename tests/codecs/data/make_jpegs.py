"""Makes JPEGs of unusual sampling factors out of images/rgb.png, and the RGB
that Pillow reads from them. Needs Pillow and cjpeg of libjpeg-turbo."""

import subprocess
from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).parent.parent / "images"

OPTIONS = {
    "440.jpg": ["-sample", "1x2"],
    "411.jpg": ["-sample", "4x1", "-progressive"],
    "fine-blue.jpg": ["-sample", "1x1,2x2,1x1"],
    "restarts.jpg": ["-sample", "2x2", "-restart", "1B", "-progressive"],
}

picture = Image.open(IMAGES / "rgb.png").convert("RGB")
pnm = b"P6 %d %d 255\n" % picture.size + picture.tobytes()
for name, options in OPTIONS.items():
    command = ["cjpeg", "-quality", "85", *options, "-outfile", IMAGES / name]
    subprocess.run(command, input=pnm, check=True)
    decoded = Image.open(IMAGES / name).convert("RGB")
    (IMAGES / f"{name}.raw").write_bytes(decoded.tobytes())
