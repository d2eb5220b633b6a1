"""The two plug-in contracts, `Method` and `Dataset`, and what passes between them and the harness.

A method or data set is one class in one file that imports from here and nothing else of the
harness. Nothing in this package imports anything heavier than pydantic and, inside annotations,
numpy and torch, so that listing plug-ins is instant.
"""

from adbench.contracts.cards import JSON as JSON
from adbench.contracts.cards import Card as Card
from adbench.contracts.cards import CategoryCard as CategoryCard
from adbench.contracts.cards import DatasetCard as DatasetCard
from adbench.contracts.cards import GridStep as GridStep
from adbench.contracts.cards import MethodCard as MethodCard
from adbench.contracts.cards import Preset as Preset
from adbench.contracts.cards import Scope as Scope
from adbench.contracts.cards import SelectionCard as SelectionCard
from adbench.contracts.cards import Split as Split
from adbench.contracts.context import ArrayCache as ArrayCache
from adbench.contracts.context import Checkpoint as Checkpoint
from adbench.contracts.context import Context as Context
from adbench.contracts.context import Team as Team
from adbench.contracts.dataset import NORMAL as NORMAL
from adbench.contracts.dataset import Dataset as Dataset
from adbench.contracts.dataset import Inspection as Inspection
from adbench.contracts.dataset import Problem as Problem
from adbench.contracts.dataset import Sample as Sample
from adbench.contracts.method import Geometry as Geometry
from adbench.contracts.method import Hyperparameters as Hyperparameters
from adbench.contracts.method import Images as Images
from adbench.contracts.method import Method as Method
from adbench.contracts.method import Prediction as Prediction
from adbench.contracts.skill import Skill as Skill
