"""DRDC's card."""

from adbench.contracts import MethodCard

CARD = MethodCard(
    name="drdc",
    title="DRDC",
    paper="Enhancing Multi-Class Anomaly Detection via Diffusion Refinement with Dual Conditioning",
    year=2024,
    url="https://arxiv.org/abs/2407.01905",
    citation="""@article{zhan2024drdc,
  title   = {Enhancing Multi-Class Anomaly Detection via Diffusion Refinement with Dual
             Conditioning},
  author  = {Zhan, Jiawei and Lai, Jinxiang and Gao, Bin-Bin and Liu, Jun and Chen, Xiaochen and
             Wang, Chengjie},
  journal = {arXiv preprint arXiv:2407.01905},
  year    = {2024}
}""",
    group="diffusion",
    scope="unified",
    summary="Reconstructs frozen features with a transformer and inpaints the image, cell by "
    "cell, with a diffusion model that is shown the rest; both errors together are the score.",
    deviations=(
        "No code was published and the supplement was not at hand, so that what the paper leaves "
        "open follows the works it builds on: UniAD, guided-diffusion and RePaint.",
        "The base's loss is a mean over channels too, as in UniAD, where eq. 1 divides by the "
        "pixels only.",
        "Inpainted parts are summed without the 1 / n_s of eq. 10, because they are disjoint: as "
        "printed, even a perfect reconstruction is half as bright as the image.",
        "x_0 is the clean image in training and in the start of the sampling, because with the "
        "noise-filled image, as section 4.2 says, the condition would hold the noise that is "
        "to be predicted, and inference would start outside of what was trained on "
        "(init=noise_fill starts there).",
        "The last listed timestep, 0, is a network evaluation at the first noise level, because "
        "0-based timesteps are guided-diffusion's and the clean image needs none.",
        "Sampling is DDIM with eta = 0 between listed timesteps, as section 5 says, where eq. 7 "
        "and 14 print the stochastic step to t - 1.",
        "The 49 cells of 32 pixels are split into 25 and 24, because n_s = 2 does not divide "
        "them as the text presumes.",
        "The UNet is ADM's with base width 128 instead of 256 (preset adm256), because the paper "
        "gives no size, claims fast inference and has few images.",
        "Attention is at down-sampling factors 8, 16 and 32, as in ADM at 256 pixels, because "
        "guided-diffusion's own rule silently leaves it out at 224.",
        "The noise schedule is linear from 1e-4 to 0.02, the UNet sees images in [-1, 1], and "
        "predicted images are clipped to it, as in guided-diffusion, because the paper gives "
        "none of them.",
        "The UNet trains 50,000 steps of 16 images at 1e-4 with gradients clipped at norm 1 and "
        "an average of its weights with decay 0.999, because the paper gives only weight decay.",
        "Training masks are half of the cells of a grid drawn from the three of the inference, "
        "because the paper gives no law.",
        "Predicted images are compared after average pooling, errors are resized bilinearly, and "
        "the 41 x 41 filter reflects the border, because eq. 16 and 18 leave these open.",
        "H_base is resized to the image before eq. 19 adds it, and the image score pools 16 x 16 "
        "windows with stride 1, as UniAD does.",
        "Eq. 19 adds a feature distance and an image distance whose scales nothing makes "
        "comparable; it is the default, and fusion=calibrated divides each by its mean on "
        "held-out normals instead.",
        "5 % of the normals, at most 32, train neither branch, so that fusion can be calibrated "
        "and the record shows errors on unseen normals (held_out_fraction=0 trains on all).",
        "spatio_temporal_fusion=false keeps the last timestep and the finest scale, and "
        "multiscale_base=true pools the base's features at the same scales, because Table 5 "
        "names both without saying how.",
        "The presets fast and smoke use the offline backbone tf_efficientnet_lite0 and inpaint "
        "smaller images, whose maps are resized; fast trains on timesteps below 300 only, as "
        "inference visits no other.",
        "fast has the base of UniAD's fast (width 128, 4 heads, no dropout, 1,500 steps at 1e-3) "
        "and a UNet of width 32 with multipliers 1, 1, 2, 3, 4 at 112 px, trained for 600 steps of "
        "8 images at 1e-3, a tenth of it for the last fifth; it inpaints at 3 timesteps (250, 150, "
        "50) over cells of 1, 8 and 16 px and compares at scales 1, 2 and 4.",
        "What UniAD's card says of its own deviations holds for the base.",
        "The average of the weights warms up: its decay in step s is at most (1 + s)/(10 + s).",
        "A batch may straddle two epochs, so that every batch is full.",
        "Where bf16 is fast the UNet's layers run in bfloat16, its last one, the loss and the "
        "sampling in float32.",
    ),
)
