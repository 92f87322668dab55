"""The HTML page that shows the OpenAPI document to people: ``docs/api.html``."""

import json
from typing import Any


def page(document: dict[str, Any]) -> str:
    """Return an HTML page that shows an OpenAPI document, from a folder or from a server.

    Args:
        document: the OpenAPI document.
    """
    # A browser lets no page from a folder fetch another file, so the page contains the document.
    inline = json.dumps(document, ensure_ascii=False).replace("</", "<\\/")
    return f"""<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none';
      script-src 'self' file: 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;
      worker-src blob:">
    <title>{document["info"]["title"]}</title>
    <style>body {{ margin: 0 }}</style>
  </head>
  <body>
    <!-- redoc.standalone.js is bundles/redoc.standalone.js of redoc 2.5.4 from npm. -->
    <div id="api"></div>
    <script src="redoc.standalone.js"></script>
    <script>
      Redoc.init({inline}, {{}}, document.getElementById("api"));
    </script>
  </body>
</html>
"""
