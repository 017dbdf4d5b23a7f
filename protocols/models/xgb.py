"""Boosted trees in the JSON that `xgboost.Booster.load_model` reads.

Its rows have one column for each feature, in the order of the model: numbers as they are (money in yuan), categories as the place of
their code, booleans 0 and 1, NaN where a value is missing. XGBoost compares in 32-bit floats: a value within their rounding of an edge
may fall on the other side of it.
"""

from typing import Any, Final

from scipy.special import expit

from protocols.models.binning import Bins
from protocols.models.modelfile import Tree, Trees

ABOVE_ALL: Final = 3.4e38
NO_PARENT: Final = 2147483647
VERSION: Final = (3, 0, 0)


def threshold(bins: Bins, place: int) -> float:
    """What known values below bin `place` are less than."""
    if place >= bins.values:
        return ABOVE_ALL
    return place - 0.5 if bins.codes else bins.edges[place - 1]


def exported(fit: Trees) -> dict[str, Any]:
    trees = [_tree(number, tree, fit.features) for number, tree in enumerate(fit.trees)]
    features = str(len(fit.features))
    shape = {"num_parallel_tree": "1", "num_trees": str(len(trees))}
    return {
        "version": list(VERSION),
        "learner": {
            "attributes": {},
            "feature_names": [each.name for each in fit.features],
            "feature_types": ["float"] * len(fit.features),
            "gradient_booster": {
                "name": "gbtree",
                "model": {
                    "gbtree_model_param": shape,
                    "iteration_indptr": list(range(len(trees) + 1)),
                    "tree_info": [0] * len(trees),
                    "trees": trees,
                },
            },
            "learner_model_param": {
                "base_score": f"{float(expit(fit.base)):.9E}",
                "boost_from_average": "0",
                "num_class": "0",
                "num_feature": features,
                "num_target": "1",
            },
            "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
        },
    }


def _tree(number: int, tree: Tree, features: tuple[Bins, ...]) -> dict[str, Any]:
    size = len(tree.feature)
    inner = [feature >= 0 for feature in tree.feature]
    parents = [NO_PARENT] * size
    for node in range(size):
        if inner[node]:
            parents[tree.left[node]] = parents[tree.right[node]] = node
    conditions = [
        threshold(features[feature], place) if feature >= 0 else value
        for feature, place, value in zip(tree.feature, tree.bin, tree.value, strict=True)
    ]
    return {
        "id": number,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(len(features)),
            "num_nodes": str(size),
            "size_leaf_vector": "1",
        },
        "left_children": [child if has else -1 for child, has in zip(tree.left, inner, strict=True)],
        "right_children": [child if has else -1 for child, has in zip(tree.right, inner, strict=True)],
        "parents": parents,
        "split_indices": [max(feature, 0) for feature in tree.feature],
        "split_conditions": conditions,
        "split_type": [0] * size,
        "default_left": [int(each) for each in tree.missing_left],
        "base_weights": list(tree.value),
        "loss_changes": list(tree.gain),
        "sum_hessian": list(tree.hessian),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
    }
