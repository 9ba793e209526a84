"""What metrics are called in MLflow, the same for all variants, so that runs grouped by variant share their charts.

    alpha/<operation>/edge_<i>_<j>    the architecture parameter, an epoch a point
    weight/<operation>/edge_<i>_<j>   the op weight that it becomes
    search/<column>                   the numeric columns of epochs.parquet, and the skip count of the argmax cell
    truth/<data set>/<split>          true accuracy of the argmax cell of each epoch
    summary/<name>                    single values of the whole run, at step 0

MLflow makes one section of charts of everything before the last slash, and one chart of each metric name.
"""

import re


def alpha_metric(kind: str, operation: str, edge: str) -> str:
    """Return the metric of one operation on one edge, such as `0>1`; the kind is alpha or weight."""
    return f"{kind}/{operation}/edge_{edge.replace('>', '_')}"


def truth_metric(data_set: str, split: str) -> str:
    """Return the metric of the true accuracy along the search."""
    return legal_name(f"truth/{data_set}/{split}")


def final_truth_metric(data_set: str, split: str) -> str:
    """Return the metric of the true accuracy of the derived cell."""
    return f"summary/{truth_metric(data_set, split).replace('/', '_')}"


def is_truth(metric: str) -> bool:
    """Whether a metric comes from the truth, and not from the record."""
    return metric.startswith(("truth/", "summary/truth_"))


def legal_name(name: str) -> str:
    """Return a metric or param name that MLflow accepts: other characters become `_`, at most 250 are kept."""
    return re.sub(r"[^\w\-.: /]", "_", name, flags=re.ASCII)[:250]
