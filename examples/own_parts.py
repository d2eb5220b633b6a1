"""A data set of your own, in the MVTec layout."""

from adbench.contracts import DatasetCard
from adbench.datasets.mvtec_layout import MVTecLayout


class OwnParts(MVTecLayout):
    card = DatasetCard(
        name="own_parts", title="Our parts", licence="internal", page="intranet", citation="",
        layout="<category>/{train/good, test/<defect>, ground_truth/<defect>}/*.png",
        directory_names=("own_parts",),
        categories={},  # empty: every folder in the layout is a category
    )  # fmt: skip
