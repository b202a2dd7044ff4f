"""Self-contained HTML pages: embedded JSON, inline scripts, and the content security policy that allows no others."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence

from markupsafe import Markup


def embed_json(value: object) -> Markup:
    """Formats JSON that can neither end the script element that contains it nor start another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: no U+2028
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def normalize_script(text: str) -> str:
    """Normalizes a script as a browser does, so that its hash is valid; the script never ends its own element."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def build_policy(scripts: Sequence[str]) -> str:
    """Builds a content security policy that allows these scripts only, and no connections."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
