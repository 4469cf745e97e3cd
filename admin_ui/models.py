"""Where the pages of models are. Ids have slashes, so they come last in an address."""

from urllib.parse import quote

from admin_ui.navigation import PREFIX

HERE = f"{PREFIX}/models"


def model_url(model_id: str, what: str = "at") -> str:
    """The page of a model, or another page or action of it."""
    return f"{HERE}/{what}/{quote(model_id, safe='/:@+')}"
