"""The saved views of an experiment: those of this program are kept up to date, and all others left alone."""

import base64
import hashlib
import json
import zlib
from functools import cache
from typing import Any

from harness.tracking.server import one_line
from harness.tracking.store import Experiment
from harness.tracking.views import VIEWS, View

TAG = "mlflow.sharedViewState."
"""The tag of an experiment that holds the view whose key follows."""

MARK = "dartsboard"
"""The first key of a view that this program wrote, with a digest of what it shows; MLflow's page takes no notice."""

CREATED = 1_795_000_000_000
"""Milliseconds since 1970. The page lists the youngest view first, so these get a fixed order below the user's."""


def save_views(client: Any, experiment: Experiment) -> str:
    """Write the views that an experiment lacks or has in another form; return what kept one from it, in a sentence.

    What stands there under the key of a view without this program's mark is somebody's own, and stays.
    """
    try:
        for view in VIEWS:
            if _is_outdated(experiment.tags.get(TAG + view.key), view):
                client.set_experiment_tag(experiment.id, TAG + view.key, _written(view))
    except Exception as error:  # what a store raises, and nothing but the views is lost
        return f"the saved views could not be written ({one_line(error)})"
    return ""


def links(page: str, experiment: Experiment) -> dict[str, str]:
    """Return the address of each view that an experiment has, by name, at a page such as `http://127.0.0.1:5000`."""
    runs = f"{page}/#/experiments/{experiment.id}/runs"
    present = [view for view in VIEWS if TAG + view.key in experiment.tags]
    return {view.name: f"{runs}?viewStateShareKey={view.key}&compareRunsMode=CHART" for view in present}


def _is_outdated(found: str | None, view: View) -> bool:
    if found is None:
        return True
    # A server may say anything, so this is all that is read of it.
    return found.startswith(_mark("")) and not found.startswith(_mark(_digest(view)) + '"')


def _mark(digest: str) -> str:
    return f'{{"{MARK}": "{digest}'


@cache
def _written(view: View) -> str:
    packed = base64.b64encode(zlib.compress(_state(view).encode(), 9)).decode()
    created = CREATED - VIEWS.index(view)
    content = {MARK: _digest(view), "name": view.name, "createdAt": created, "updatedAt": created}
    return json.dumps({**content, "state": f"deflate;{packed}"})


@cache
def _digest(view: View) -> str:
    return hashlib.sha256(f"{view.name}\n{_state(view)}".encode()).hexdigest()[:16]


def _state(view: View) -> str:
    return json.dumps(view.state(), ensure_ascii=False)
