"""TransFusion's card."""

from adbench.contracts import MethodCard

CARD = MethodCard(
    name="transfusion",
    title="TransFusion",
    paper="TransFusion - A Transparency-Based Diffusion Model for Anomaly Detection",
    year=2024,
    url="https://arxiv.org/abs/2311.09999",
    citation="""@inproceedings{fucka2024transfusion,
  title     = {{TransFusion} -- A Transparency-Based Diffusion Model for Anomaly Detection},
  author    = {Fu{\\v{c}}ka, Matic and Zavrtanik, Vitjan and Sko{\\v{c}}aj, Danijel},
  booktitle = {European Conference on Computer Vision},
  year      = {2024}
}""",
    group="diffusion",
    scope="separate",
    summary="Learns on synthetic anomalies to make an anomaly ever more transparent; each step "
    "predicts its mask, its appearance and the normal image, and the masks are the score.",
    deviations=(
        "Where paper and official code differ, `paper` follows the code, because only its results "
        "come with weights; `paper_text` crops to 224 pixels as the text says.",
        "The reverse process visits t = 18 to 1 and divides the 18 masks by 19, as the code does "
        "against the text (sampling=literal visits 19 to 1).",
        "The anomaly head learns beta_t M A and the mask is binarised in eq. 4, as the code does "
        "against eq. 7 and the text.",
        "The positional encoding is the sine of the row alone, as the code's one channel holds no "
        "more of the encoding that the text describes (positional_encoding=2d has columns too).",
        "SSIM enters as 1 - SSIM with the code's value range that depends on the batch, because "
        "the text gives no range (ssim_range=fixed takes 2).",
        "Foreground masks are made where no foreground_dir is given, because the authors' masks "
        "come from a model that is not part of the code: by an Otsu threshold on the distance to "
        "the border's median colour, holes filled and dilated, as grey values alone lost parts of "
        "the rendered gears and covers (foreground=ones does without). Measured once, fast with "
        "120 steps on 18 rendered gears: image AUROC 56.94, pixel AUROC 76.06, AUPRO@0.3 32.17 "
        "with it; 44.44, 78.98 and 36.21 without. Neither network is trained enough to tell.",
        "Where no texture_dir is given, textures are procedural instead of DTD's, because nothing "
        "is downloaded.",
        "The quadratic and the square-root schedule are u^2 and sqrt(u), because the text names "
        "them without formulas.",
        "previous_mask=none feeds an empty mask in training and in sampling, because the text "
        "does not say what the network without the simulated mask is given.",
        "A batch may straddle two epochs, so that every batch is full and half synthetic.",
        "Where bf16 is fast the network's layers run in bfloat16, heads and losses in float32, "
        "because it is several times as fast (precision=fp32 is the code's).",
    ),
)
