"""UniAD's card."""

from adbench.contracts import MethodCard

CARD = MethodCard(
    name="uniad",
    title="UniAD",
    paper="A Unified Model for Multi-class Anomaly Detection",
    year=2022,
    url="https://arxiv.org/abs/2206.03687",
    citation="""@inproceedings{you2022uniad,
  title     = {A Unified Model for Multi-class Anomaly Detection},
  author    = {You, Zhiyuan and Cui, Lei and Shen, Yujun and Yang, Kai and Lu, Xin and
               Zheng, Yu and Le, Xinyi},
  booktitle = {NeurIPS},
  year      = {2022}
}""",
    group="baselines",
    scope="unified",
    summary="Reconstructs frozen features with a transformer whose attention may not see a token's "
    "neighbourhood, and scores the distance.",
    deviations=(
        "The weights of the last step are kept, because the official code keeps those of the epoch "
        "with the best pixel AUROC on test images.",
        "An AUROC below 0.5 stays as it is, where the official evaluation turns it into one minus "
        "its value, because that hides a detector that is worse than chance.",
        "The loss is the mean over all entries, as in the official code, where the paper's formula "
        "sums over channels, because the constant between them matters to gradient clipping only.",
        "Queries and attention maps of all layers are drawn independently, where the official "
        "code copies those of one layer, because the paper says nothing of it.",
        "Training passes run in bfloat16 where the hardware is fast at it, because they take half "
        "the time (precision=fp32 does not).",
        "5 % of the normals, at most 32, are kept from training, so that the record can show the "
        "error on unseen normals (held_out_fraction=0 trains on all).",
        "A batch may straddle two epochs, so that every batch is full.",
        "timm's dynamic SAME padding differs from the official backbone in one layer at 224 "
        "pixels, because that code pads as for 380 pixels.",
        "The presets fast and smoke use the offline backbone tf_efficientnet_lite0; fast halves "
        "the width and takes fewer steps at a higher rate without dropout, because it has to end "
        "in minutes on two cores.",
        "feature_editing=true is no part of UniAD but the ablation of LafitE's paper: features are "
        "edited as in our LafitE (weights that sum to one, K = 5) before the transformer sees "
        "them.",
    ),
)
