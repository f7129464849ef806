"""The peer of `trellis bench match`: pymarket, in an environment of its own, so nothing of ours is imported.

Reads {"bids": [[wh, price, buying], ...], "repetitions": N}, prints {"seconds": [...], "traded": Wh}. Timed
is `Market.run` with Huang's double auction: one price for buyers, one for sellers, no lots drawn. It trades a
little less than the most, so that nobody gains by a false limit.
"""

from __future__ import annotations

import json
import sys
import time
import warnings

import pymarket


def main() -> None:
    asked = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    seconds, traded = list[float](), 0.0
    for _ in range(asked["repetitions"]):
        market = pymarket.Market()
        for user, (wh, price, buying) in enumerate(asked["bids"]):
            market.accept_bid(wh, price, user, buying)
        start = time.perf_counter()
        _, extra = market.run("huang")
        seconds.append(time.perf_counter() - start)
        traded = float(extra.get("quantity_traded", 0))
    print(json.dumps({"seconds": seconds, "traded": traded}))


if __name__ == "__main__":
    main()
