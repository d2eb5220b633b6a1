"""A user's own small set, which nothing in adbench was ever chosen on."""

from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTecLayout


class Cookies(MVTecLayout):
    card = DatasetCard(
        name="cookies", title="Cookies", licence="CC BY-SA 4.0", citation="",
        page="the samples of Amazon Lookout for Vision",
        layout="<category>/{train/good, test/<defect>, ground_truth/<defect>}/*.png",
        directory_names=("cookies",),
        categories={},
    )  # fmt: skip
