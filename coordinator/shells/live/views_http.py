"""Views of portfolios and sources over HTTP, as JSON: the newest ones, and windows of time.

Place in the flow: beside /readyz and /metrics of the part `views`. Reads tables of this process's
shards only, and says so. It must never wait for anything.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from coordinator.shells.live.views import PortfolioViews
from projections.activity import Shape, WrongWindow, portfolio_windows, source_windows
from projections.panes import PaneTables
from projections.tables import Row

__all__ = ["ViewPages"]

_LAST = 20


class ViewPages:
    """The pages; `views` is set once the part runs. shards: of all workers together."""

    def __init__(self, sizes: tuple[int, ...], *, shards: int) -> None:
        self._sizes = sizes
        self._shards = shards
        self.views: PortfolioViews | None = None

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [
            web.get("/views", self._all),
            web.get("/views/{portfolio}", self._one),
            web.get("/views/{portfolio}/windows", self._windows),
            web.get("/views/{portfolio}/activity", self._activity),
            web.get("/sources", self._sources),
            web.get("/sources/{source}/activity", self._source),
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

    # -- activity ----------------------------------------------------------------------------------

    def _panes(self) -> PaneTables:
        """The tables, once they are restored."""
        if self.views is None or not self.views.shards:
            raise web.HTTPServiceUnavailable(reason="this worker has no shards yet")
        return self.views.panes

    def _told(self, **more: Any) -> web.StreamResponse:
        """With the shards that it covers: sums over all are complete where none is missing."""
        shards = sorted(self.views.shards) if self.views is not None else []
        where = {"shards": shards, "shards_missing": self._shards - len(shards)}
        return web.json_response(where | more)

    async def _activity(self, request: web.Request) -> web.StreamResponse:
        panes, name = self._panes(), request.match_info["portfolio"]
        shape = self._shape(request)
        if panes.newest_of("portfolio", name) is None:
            raise web.HTTPNotFound(reason="nothing happened to a portfolio of that name here")
        try:
            windows = portfolio_windows(panes, name, shape)
        except WrongWindow as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        return self._told(portfolio=name, size_s=shape.size, hop_s=shape.hop, windows=windows)

    async def _sources(self, _request: web.Request) -> web.StreamResponse:
        """Totals since the beginning of the sources that are at home on our shards."""
        found = [
            {"source": name, "as_of": pane["as_of"], "to": pane["ends_at"], **pane["totals"]}
            for name, pane in self._panes().newest("source")
        ]
        return self._told(sources=found)

    async def _source(self, request: web.Request) -> web.StreamResponse:
        panes, name = self._panes(), request.match_info["source"]
        shape = self._shape(request)
        try:
            windows = source_windows(panes, name, shape)
        except WrongWindow as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        if not windows:
            raise web.HTTPNotFound(reason="nothing happened to a source of that name here")
        return self._told(source=name, size_s=shape.size, hop_s=shape.hop, windows=windows)

    def _shape(self, request: web.Request) -> Shape:
        """size, hop: seconds; last: how many. Raises HTTPBadRequest for what cannot be made."""
        given = request.query
        try:
            size = int(given.get("size", next(iter(self._sizes), 0)))
            hop = int(given["hop"]) if "hop" in given else None
            return Shape.asked(self._sizes, size, hop, int(given.get("last", _LAST)))
        except WrongWindow as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        except ValueError as error:
            raise web.HTTPBadRequest(reason="size, hop and last are whole numbers") from error
