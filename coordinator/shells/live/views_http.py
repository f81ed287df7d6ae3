"""Portfolio views over HTTP, as JSON: the newest one of each portfolio, and its windows.

Place in the flow: beside /readyz and /metrics of the part `views`. Reads tables of this process's
shards only, and says so. It must never wait for anything.
"""

from __future__ import annotations

from aiohttp import web

from coordinator.shells.live.views import PortfolioViews
from projections.tables import Row

__all__ = ["ViewPages"]


class ViewPages:
    """The pages; `views` is set once the part runs."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes
        self.views: PortfolioViews | None = None

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [
            web.get("/views", self._all),
            web.get("/views/{portfolio}", self._one),
            web.get("/views/{portfolio}/windows", self._windows),
        ]

    def _rows(self) -> tuple[list[int], dict[str, Row]]:
        """Our shards, and the newest view of each of their portfolios."""
        views = self.views
        if views is None:
            return [], {}
        shards = sorted(views.shards)
        rows = {
            name: row
            for name, row in sorted(views.tables.latest.items())
            if "view" in row and row["as_of"][0] in views.shards
        }
        return shards, rows

    def _row(self, request: web.Request) -> Row:
        shards, rows = self._rows()
        row = rows.get(request.match_info["portfolio"])
        if row is None:
            raise web.HTTPNotFound(
                reason=f"no view of that portfolio here; this worker has the shards {shards}"
            )
        return row

    async def _all(self, _request: web.Request) -> web.StreamResponse:
        shards, rows = self._rows()
        shown = [
            {"as_of": row["as_of"]} | {k: v for k, v in row["view"].items() if k != "holdings"}
            for row in rows.values()
        ]
        return web.json_response({"shards": shards, "views": shown})

    async def _one(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._row(request))

    async def _windows(self, request: web.Request) -> web.StreamResponse:
        self._row(request)
        given = request.query.get("size")
        if given is not None and given not in map(str, self._sizes):
            raise web.HTTPBadRequest(reason=f"size is one of {list(self._sizes)}, in seconds")
        sizes = self._sizes if given is None else (int(given),)
        found: list[Row] = []
        if self.views is not None:
            found = list(self.views.tables.windows_of(request.match_info["portfolio"], sizes))
        return web.json_response({"windows": found})
