"""What a browser calls itself, in two words. Pure; a guess, as all such words are."""

NAMES = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_text(agent: str) -> str:
    """`Firefox on Linux`; the beginning of the agent's own words where it is none of those."""
    name = next((name for mark, name in NAMES if mark in agent), None)
    system = next((name for mark, name in SYSTEMS if mark in agent), None)
    if name is None:
        return agent[:40] or "unknown"
    return name if system is None else f"{name} on {system}"
