"""Synthetic anomalies for TransFusion's training, as batched tensor code (spec section 5).

images -> noise -> masks ─┐
       textures ─┐        ├─> rotation -> composition -> SynthesisBatch
       shuffle  ─┴─> appearance ─┘
"""

from adbench.methods.transfusion.synthesis.anomalies import SynthesisBatch as SynthesisBatch
from adbench.methods.transfusion.synthesis.anomalies import synthesise as synthesise
from adbench.methods.transfusion.synthesis.foreground import foreground_masks as foreground_masks
from adbench.methods.transfusion.synthesis.textures import FolderTextures as FolderTextures
from adbench.methods.transfusion.synthesis.textures import ProceduralTextures as ProceduralTextures
from adbench.methods.transfusion.synthesis.textures import TextureBank as TextureBank
